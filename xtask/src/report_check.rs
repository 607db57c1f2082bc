//! `cargo xtask report-check`: the sample report in a real browser.

mod browser;

use crate::setup::run_browser_setup;
use crate::step::{run, say, workspace_root};
use anyhow::{Context as _, Result, bail, ensure};
use browser::Browser;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The accessibility checker, and the version whose rules hold.
const AXE: &str = "axe-core@4.11.0";

/// What to look at.
#[derive(Args, Debug)]
pub struct ReportCheck {
    /// A report; the sample of the tests when left out
    file: Option<PathBuf>,
}

/// A way to look at a page.
struct View {
    name: &'static str,
    width: u32,
    height: u32,
    dark: bool,
}

const VIEWS: [View; 4] = [
    View { name: "desktop-light", width: 1280, height: 900, dark: false },
    View { name: "desktop-dark", width: 1280, height: 900, dark: true },
    View { name: "phone-light", width: 390, height: 844, dark: false },
    View { name: "phone-dark", width: 390, height: 844, dark: true },
];

/// Opens it in every view; an error names the first thing that is wrong.
pub fn report_check(options: &ReportCheck) -> Result<()> {
    run_browser_setup()?;
    let root = workspace_root();
    let out = root.join("target/report-check");
    std::fs::create_dir_all(&out)?;
    let axe = axe()?;
    let file = options.file.clone().unwrap_or_else(|| root.join("crates/ktstr-sidecar/tests/report/sample.html"));
    let url = url_of(&file)?;
    let start = Instant::now();
    let mut browser = Browser::start(&out.join("profile"))?;
    for view in &VIEWS {
        say(&format!("{}: {} × {}", view.name, view.width, view.height));
        look(&mut browser, view, &url, &axe, &out).with_context(|| view.name)?;
    }
    without_script(&mut browser, &url)?;
    say(&format!("{} views in {:.1} s; pictures in {}", VIEWS.len(), start.elapsed().as_secs_f64(), out.display()));
    Ok(())
}

/// A picture of a report as a desktop shows it.
pub fn picture(page: &Path, out: &Path) -> Result<()> {
    run_browser_setup()?;
    let mut browser = Browser::start(&workspace_root().join("target/report-check/profile"))?;
    shape(&mut browser, &VIEWS[0])?;
    browser.open(&url_of(page)?)?;
    browser.picture(out)?;
    browser.quiet()?;
    say(&format!("picture: {}", out.display()));
    Ok(())
}

fn url_of(page: &Path) -> Result<String> {
    Ok(format!("file://{}", page.canonicalize().with_context(|| format!("no {}", page.display()))?.display()))
}

/// The checker's source, from the package registry, once.
fn axe() -> Result<String> {
    let dir = workspace_root().join("target/axe");
    let file = dir.join("node_modules/axe-core/axe.min.js");
    if !file.exists() {
        std::fs::create_dir_all(&dir)?;
        run(Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&dir)
            .arg(AXE))?;
    }
    std::fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))
}

fn shape(browser: &mut Browser, view: &View) -> Result<()> {
    let scheme = if view.dark { "dark" } else { "light" };
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        &json!({"width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.width < 600}),
    )?;
    browser.call(
        "Emulation.setEmulatedMedia",
        &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
    )?;
    Ok(())
}

fn look(browser: &mut Browser, view: &View, url: &str, axe: &str, out: &Path) -> Result<()> {
    shape(browser, view)?;
    browser.open(url)?;
    browser.picture(&out.join(format!("{}.png", view.name)))?;
    ensure!(
        browser.truth("document.documentElement.scrollWidth <= document.documentElement.clientWidth")?,
        "the page scrolls sideways"
    );
    accessible(browser, axe, "the page")?;
    ensure!(
        browser.truth("document.querySelector('.heat td.fail a') !== null")?,
        "no cell is broken in this report, so none leads to its evidence: check one that has a broken cell"
    );
    // One click from a broken cell to its evidence.
    browser.value("document.querySelector('.heat td.fail a').click()")?;
    ensure!(
        browser.truth("[...document.querySelectorAll('.cell:target .message')].some((p) => p.offsetHeight > 0 && p.textContent.trim() !== '')")?,
        "why a cell is broken is not seen after one click"
    );
    // What the machine last said is there as well, where it said anything: an element of a closed run has no height.
    ensure!(
        browser.truth(
            "[...document.querySelectorAll('.cell:target details[open] pre')].every((p) => p.offsetHeight > 0)"
        )?,
        "the last words of a broken cell are not seen after one click"
    );
    browser.value("document.querySelector('.cell:target').scrollIntoView()")?;
    browser.picture(&out.join(format!("{}-evidence.png", view.name)))?;
    accessible(browser, axe, "the evidence")?;
    keys(browser)?;
    browser.quiet()
}

/// axe finds nothing: contrast, names, roles, order of headings.
fn accessible(browser: &mut Browser, axe: &str, what: &str) -> Result<()> {
    browser.value(&format!("{axe}; 0"))?;
    let found = browser.value(
        "axe.run().then((r) => r.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes[0].html.slice(0, 200)}`))",
    )?;
    match found.as_array() {
        Some(list) if list.is_empty() => Ok(()),
        Some(list) => bail!("{what}: {}", list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")),
        None => bail!("axe gave no answer: {found}"),
    }
}

/// Arrow keys walk the map and Escape closes what was opened.
fn keys(browser: &mut Browser) -> Result<()> {
    browser.value("document.querySelectorAll('.heat tbody tr')[0].querySelectorAll('a')[0].focus()")?;
    browser.key("ArrowRight")?;
    browser.key("ArrowDown")?;
    ensure!(
        browser.truth(
            "document.activeElement === document.querySelectorAll('.heat tbody tr')[1].querySelectorAll('a')[1]"
        )?,
        "the arrow keys do not walk the heat map"
    );
    browser.key("Escape")?;
    ensure!(browser.truth("document.querySelector('.cell:target') === null")?, "Escape does not close a cell");
    // Scheduler and kernel of the last row: they hide some rows, and show that one and its like.
    browser.value(
        "{ const cells = document.querySelector('.tests tbody').lastElementChild.cells; \
           const filter = document.getElementById('filter'); \
           filter.value = `${cells[3].textContent} ${cells[1].textContent}`; filter.dispatchEvent(new Event('input')); }",
    )?;
    ensure!(
        browser.truth(
            "(([by, on], rows) => { const shown = rows.filter((r) => !r.hidden); \
               return shown.length > 0 && shown.length < rows.length && \
                 rows.every((r) => r.hidden !== (r.textContent.includes(by) && r.textContent.includes(on))); \
             })(document.getElementById('filter').value.split(' '), [...document.querySelectorAll('.tests tbody tr')])"
        )?,
        "the filter hides what it should show, or shows what it should hide"
    );
    browser.value("document.querySelectorAll('.tests th button')[7].click()")?;
    ensure!(
        browser.truth("(v => v.every((x, i) => i === 0 || v[i - 1] <= x))([...document.querySelectorAll('.tests tbody tr')].map((r) => Number(r.cells[7].dataset.v ?? Infinity)))")?,
        "a click on a heading does not sort"
    );
    Ok(())
}

/// Scripts off: the tables and the evidence are there all the same.
fn without_script(browser: &mut Browser, url: &str) -> Result<()> {
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}))?;
    let broken = browser.value("document.querySelector('.heat td.fail a').getAttribute('href')")?;
    browser.open(&format!("{url}{}", broken.as_str().unwrap_or_default()))?;
    let shown = browser.truth(
        "document.querySelectorAll('.tests tbody tr').length > 0 && document.querySelector('.tests th button') === null \
         && document.querySelector('.cell:target .message').offsetHeight > 0",
    )?;
    ensure!(shown, "without scripts something is missing");
    browser.quiet()
}
