"""Datadog's own client package as the judge of log entries.

Reads a JSON list of request bodies, each a list of entries, from standard input. Every entry becomes an `HTTPLogItem`, every
body an `HTTPLog`. Writes, for each body, what the package would send; an entry that it refuses ends the program.
"""

import json
import sys

from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem

bodies = []
for body in json.load(sys.stdin):
    log = HTTPLog([HTTPLogItem(**entry) for entry in body])
    bodies.append([item.to_dict() for item in log.value])
json.dump(bodies, sys.stdout)
