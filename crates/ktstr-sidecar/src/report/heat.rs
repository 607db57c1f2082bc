//! The heat map: topologies down, schedulers and kernels across.

use super::chart::{class, mark, word};
use super::escape::Text;
use super::gather::{Gathered, Story};
use crate::rows::{RowKey, Tally};
use crate::series::Series;
use crate::summary::number;
use std::collections::BTreeMap;
use std::fmt::{Result, Write as _};

/// All tests of one scheduler on one topology and kernel.
pub struct Cell<'a> {
    /// Its place in the page: `cell-N`.
    pub id: usize,
    /// By test.
    pub stories: Vec<(&'a RowKey, &'a Story)>,
    /// Their verdicts.
    pub tally: Tally,
}

/// Topology, scheduler, kernel.
type Place<'a> = (&'a str, &'a str, &'a str);

/// Cells of the map, and its axes in the order in which they are shown.
pub struct Heat<'a> {
    /// By place.
    pub cells: BTreeMap<Place<'a>, Cell<'a>>,
    topologies: Vec<(&'a str, Option<u32>)>,
    schedulers: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Heat<'a> {
    /// From the rows.
    pub fn of(gathered: &'a Gathered) -> Self {
        let mut cells: BTreeMap<Place<'a>, Cell<'a>> = BTreeMap::new();
        for (key, story) in &gathered.stories {
            let place = (key.topology.as_str(), key.scheduler.as_str(), key.kernel.as_str());
            let cell =
                cells.entry(place).or_insert_with(|| Cell { id: 0, stories: Vec::new(), tally: Tally::default() });
            cell.stories.push((key, story));
            cell.tally.add(story.row.tally);
        }
        for (id, cell) in cells.values_mut().enumerate() {
            cell.id = id;
        }
        let mut topologies: Vec<_> = cells.keys().map(|place| (place.0, cpus(place.0))).collect();
        topologies.sort_by_key(|(name, cpus)| (*cpus, *name));
        topologies.dedup();
        let mut schedulers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, scheduler, kernel) in cells.keys() {
            let kernels = schedulers.entry(scheduler).or_default();
            if !kernels.contains(kernel) {
                kernels.push(kernel);
            }
        }
        for kernels in schedulers.values_mut() {
            kernels.sort_by_key(|kernel| numbers(kernel));
        }
        Self { cells, topologies, schedulers: schedulers.into_iter().collect() }
    }

    /// The table.
    pub fn table(&self, out: &mut String) -> Result {
        out.write_str("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Heat map\"><table class=\"heat\">\n<thead><tr><th rowspan=\"2\" scope=\"col\">topology</th>")?;
        for (scheduler, kernels) in &self.schedulers {
            write!(out, "<th colspan=\"{}\" scope=\"colgroup\">{}</th>", kernels.len(), Text(scheduler))?;
        }
        out.write_str("</tr>\n<tr>")?;
        for kernel in self.schedulers.iter().flat_map(|(_, kernels)| kernels) {
            write!(out, "<th scope=\"col\" class=\"kernel\">{}</th>", Text(kernel))?;
        }
        out.write_str("</tr></thead>\n<tbody>\n")?;
        for (topology, cpus) in &self.topologies {
            let cpus = cpus.map_or_else(String::new, |n| format!("<small>{n} CPUs</small>"));
            write!(out, "<tr><th scope=\"row\">{}{cpus}</th>", Text(topology))?;
            for (scheduler, kernels) in &self.schedulers {
                for kernel in kernels {
                    match self.cells.get(&(*topology, *scheduler, *kernel)) {
                        Some(cell) => self::cell(out, cell, topology, scheduler, kernel)?,
                        None => out.write_str("<td class=\"none\"><span>not run</span></td>")?,
                    }
                }
            }
            out.write_str("</tr>\n")?;
        }
        out.write_str("</tbody></table></div>\n")
    }
}

fn cell(out: &mut String, cell: &Cell<'_>, topology: &str, scheduler: &str, kernel: &str) -> Result {
    let worst = cell.tally.worst();
    let mut wake = Series::default();
    for (_, story) in &cell.stories {
        story.row.figures.get("cgroup.p99_wake_us").into_iter().for_each(|s| wake.merge(s.clone()));
    }
    let small = match (wake.median(), cell.tally.ran()) {
        (Some(us), _) => format!("p99 {}", number(us, "µs")),
        (None, 0) => "skipped".to_owned(),
        (None, _) => word(worst).to_owned(),
    };
    write!(
        out,
        "<td class=\"{}\"><a href=\"#cell-{}\" aria-label=\"{} on {}, kernel {}: {} of {} passed, worst {}\">\
         <b>{} {}/{}</b><small>{small}</small></a></td>",
        class(worst),
        cell.id,
        Text(scheduler),
        Text(topology),
        Text(kernel),
        cell.tally.passed,
        cell.tally.ran(),
        word(worst),
        mark(worst),
        cell.tally.passed,
        cell.tally.ran()
    )
}

fn cpus(topology: &str) -> Option<u32> {
    topology.parse::<ktstr_topology::Topology>().ok().map(|t| t.total_cpus())
}

/// The numbers in a version, so that 6.9 comes before 6.18.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
}
