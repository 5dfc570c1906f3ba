"""PostHog's own client package, sending one event of Jackfield to the host that is the argument.

Reads `{"api_key": ..., "event": {...}}` from standard input, the event in Jackfield's JSON, and sends it as a Python program
would: its fields as properties, the metadata among them.
"""

import json
import sys

from posthog import Posthog

given = json.load(sys.stdin)
event = given["event"]
properties = {
    "event_name": event["name"],
    "tool_name": event["tool_name"],
    "tool_version": event["version"],
    "$os": event["os"],
    "$process_person_profile": False,
    **{
        field: event[field]
        for field in ["arch", "os_version", "runtime_version", "duration_ms", "exit_code", "error", "args"]
    },
    **event["metadata"],
}
client = Posthog(given["api_key"], host=sys.argv[1], gzip=True, max_retries=0)
client.capture(
    event["type"],
    distinct_id=event["machine_id"],
    uuid=event["id"],
    timestamp=event["timestamp"],
    properties=properties,
)
client.shutdown()
