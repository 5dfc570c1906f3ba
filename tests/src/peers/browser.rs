//! Chromium without a screen, which the tests drive by its DevTools protocol over two pipes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use ct_codecs::{Base64, Decoder as _};
use serde_json::{Value, json};

use super::Leash;

/// Chromium takes commands from descriptor 3 and answers by descriptor 4.
const START: &str = r#"exec chromium-headless-shell "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// A running browser. It ends with this value.
pub struct Browser {
    child: Child,
    leash: Leash,
    folder: PathBuf,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    commands: u64,
}

/// A page that the browser has loaded.
pub struct Page<'a> {
    browser: &'a mut Browser,
    session: String,
    /// What the page has requested.
    pub requests: Vec<String>,
    /// Errors and warnings of the console, those about the security policy included.
    pub complaints: Vec<String>,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("jackfield-browser-").tempdir().expect("a folder").keep();
        let log = fs::File::create(folder.join("stderr")).expect("writable");
        let leash = Leash::new(&folder);
        let mut command = Command::new("sh");
        command
            .args(["-c", START, "sh", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            // Root can't have the sandbox, and what is shown is our own.
            .args(["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = leash.spawn(&mut command).expect("sh starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, leash, folder, input, output, commands: 0 }
    }

    /// Loads a page in a window of this size; `scheme` is `light` or `dark`.
    ///
    /// # Panics
    /// When it does not load.
    pub fn open(&mut self, url: &str, (width, height): (u32, u32), scheme: &str) -> Page<'_> {
        let target = self.call("", "Target.createTarget", &json!({ "url": "about:blank" }), &mut Vec::new());
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("", "Target.attachToTarget", &attach, &mut Vec::new());
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        let mut page = Page { browser: self, session, requests: Vec::new(), complaints: Vec::new() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        page.call("Emulation.setDeviceMetricsOverride", &metrics);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        page.call("Emulation.setEmulatedMedia", &media);
        let navigated = page.call("Page.navigate", &json!({ "url": url }));
        assert!(navigated["errorText"].is_null(), "{url}: {navigated}");
        while !page.next_event() {}
        page
    }

    /// Sends a command and gives its result; the events that come before it are added to `events`.
    fn call(&mut self, session: &str, method: &str, params: &Value, events: &mut Vec<Value>) -> Value {
        self.commands += 1;
        let mut command = json!({ "id": self.commands, "method": method, "params": params });
        if !session.is_empty() {
            command["sessionId"] = session.into();
        }
        let command = format!("{command}\0");
        self.input.write_all(command.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        loop {
            let message = self.receive();
            if message["id"] == self.commands {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            events.push(message);
        }
    }

    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        self.output.read_until(0, &mut message).expect("readable");
        assert_eq!(
            message.pop(),
            Some(0),
            "the browser has ended (scripts/setup installs it): {}",
            self.log()
        );
        serde_json::from_slice(&message).expect("JSON")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.leash.kill(&mut self.child);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Page<'_> {
    fn call(&mut self, method: &str, params: &Value) -> Value {
        let mut events = Vec::new();
        let result = self.browser.call(&self.session, method, params, &mut events);
        for event in &events {
            self.note(event);
        }
        result
    }

    /// Waits for an event. Gives whether the page has loaded.
    fn next_event(&mut self) -> bool {
        let event = self.browser.receive();
        self.note(&event)
    }

    fn note(&mut self, event: &Value) -> bool {
        if event["sessionId"] != *self.session {
            return false;
        }
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => return true,
            "Network.requestWillBeSent" => {
                self.requests.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            "Log.entryAdded" | "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => {
                self.complaints.push(params.to_string());
            }
            _ => {}
        }
        false
    }

    /// The value of an expression in JavaScript.
    ///
    /// # Panics
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let result =
            self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].clone()
    }

    /// Writes a picture of the whole page.
    ///
    /// # Panics
    /// When the file can't be written.
    pub fn picture(&mut self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let png = Base64::decode_to_vec(shot["data"].as_str().expect("a picture"), None).expect("base64");
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, png).expect("writable");
    }
}
