//! Chromium, driven through its debugging pipe: messages of JSON that end with a NUL.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What the page complained of or asked the network for.
    complaints: Vec<String>,
    loaded: bool,
}

impl Browser {
    /// Starts one with a fresh profile and a page.
    pub fn start(profile: &Path) -> Result<Self> {
        let _ = std::fs::remove_dir_all(profile);
        // Chromium listens on descriptor 3 and answers on 4. It keeps its sandbox unless it is root's, who may have none.
        let mut child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"])
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start chromium")?;
        let to = child.stdin.take().context("no pipe to chromium")?;
        let from = BufReader::new(child.stdout.take().context("no pipe from chromium")?);
        let mut browser = Self { child, to, from, session: None, last: 0, complaints: Vec::new(), loaded: false };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached =
            browser.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}))?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(browser)
    }

    /// One command and its answer; what happens meanwhile is noted.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).context("chromium is gone")?;
        loop {
            let mut answer = self.receive()?;
            if answer["id"] == self.last {
                ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return Ok(answer["result"].take());
            }
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes)?;
        ensure!(bytes.pop() == Some(0), "chromium ended");
        let message: Value = serde_json::from_slice(&bytes).context("chromium said no JSON")?;
        self.note(&message);
        Ok(message)
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loaded = true,
            "Runtime.exceptionThrown" => self.complaints.push(format!("exception: {}", params["exceptionDetails"])),
            "Runtime.consoleAPICalled" => self.complaints.push(format!("console: {}", params["args"])),
            "Log.entryAdded" => self.complaints.push(format!("log: {}", params["entry"])),
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("file:") && !url.starts_with("data:") && url != "about:blank" {
                    self.complaints.push(format!("network: {url}"));
                }
            }
            _ => {}
        }
    }

    /// Opens a page and waits until it is loaded; another page first, so that a fragment is no mere jump.
    pub fn open(&mut self, url: &str) -> Result<()> {
        for url in ["about:blank", url] {
            self.loaded = false;
            self.call("Page.navigate", &json!({"url": url}))?;
            while !self.loaded {
                self.receive()?;
            }
        }
        Ok(())
    }

    /// What an expression comes to, promises awaited.
    pub fn value(&mut self, expression: &str) -> Result<Value> {
        let mut answer = self.call(
            "Runtime.evaluate",
            &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        )?;
        if !answer["exceptionDetails"].is_null() {
            let head: String = expression.chars().take(120).collect();
            bail!("`{head}`: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].take())
    }

    /// Whether an expression is true.
    pub fn truth(&mut self, expression: &str) -> Result<bool> {
        Ok(self.value(expression)? == true)
    }

    /// Presses a key.
    pub fn key(&mut self, key: &str) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", &json!({"type": kind, "key": key, "code": key}))?;
        }
        Ok(())
    }

    /// What is seen now, as a PNG.
    pub fn picture(&mut self, path: &Path) -> Result<()> {
        let answer = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        let data = answer["data"].as_str().context("no picture")?;
        let png = ktstr_wire::base64::decode(data.as_bytes()).context("the picture is not base64")?;
        std::fs::write(path, png).with_context(|| format!("failed to write {}", path.display()))
    }

    /// An error when the page complained or asked the network for anything.
    pub fn quiet(&mut self) -> Result<()> {
        ensure!(self.complaints.is_empty(), "{}", self.complaints.join("\n"));
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
