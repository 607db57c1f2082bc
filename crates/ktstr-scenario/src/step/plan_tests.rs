//! The plan against a model that was written apart from it: histories are searched, sets are bits.

use super::*;
use crate::{CgroupDef, CpusetSpec, WorkSpec, WorkType};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "a/x", "a/y"];
const CPUS: u32 = 4;

fn machine() -> Topology {
    Topology::new(1, 2, 2, 1).unwrap()
}

/// What the model reads: names by number, CPUs as bits.
#[derive(Clone, Copy, Debug)]
enum Event {
    Add(usize, bool, Option<u8>),
    Remove(usize),
    Set(usize, u8),
    Clear(usize),
    Swap(usize, usize),
    Freeze(usize),
    Unfreeze(usize),
    Spawn(usize),
    Stop(usize),
    Move(usize, usize),
    Offline(u32),
    Online(u32),
}

fn list(mask: u8) -> CpusetSpec {
    CpusetSpec::Exact((0..CPUS).filter(|c| mask & (1 << c) != 0).collect())
}

fn op(event: Event) -> Op {
    match event {
        Event::Add(n, loaded, cpus) => {
            let def = if loaded { CgroupDef::named(NAMES[n]) } else { CgroupDef::empty(NAMES[n]) };
            Op::add_cgroup(match cpus {
                Some(mask) => def.cpuset(list(mask)),
                None => def,
            })
        }
        Event::Remove(n) => Op::remove_cgroup(NAMES[n]),
        Event::Set(n, mask) => Op::set_cpuset(NAMES[n], list(mask)),
        Event::Clear(n) => Op::clear_cpuset(NAMES[n]),
        Event::Swap(n, m) => Op::swap_cpusets(NAMES[n], NAMES[m]),
        Event::Freeze(n) => Op::freeze(NAMES[n]),
        Event::Unfreeze(n) => Op::unfreeze(NAMES[n]),
        Event::Spawn(n) => Op::spawn(NAMES[n], WorkSpec::new(WorkType::SpinWait)),
        Event::Stop(n) => Op::stop(NAMES[n]),
        Event::Move(n, m) => Op::move_tasks(NAMES[n], NAMES[m]),
        Event::Offline(cpu) => Op::cpu_offline(cpu),
        Event::Online(cpu) => Op::cpu_online(cpu),
    }
}

/// Answers everything from the list of what has happened.
struct History(Vec<Event>);

impl History {
    fn alive(&self, n: usize) -> bool {
        let last = self.0.iter().rev().find(|e| matches!(**e, Event::Add(m, ..) | Event::Remove(m) if m == n));
        matches!(last, Some(Event::Add(..)))
    }

    /// What happened since the cgroup was made last.
    fn life(&self, n: usize) -> &[Event] {
        let made = self.0.iter().rposition(|e| matches!(*e, Event::Add(m, ..) if m == n)).unwrap_or(0);
        &self.0[made..]
    }

    fn cpuset(&self, n: usize) -> Option<u8> {
        // A swap needs the other's set at that time, so this one goes forward.
        let mut sets = [None; NAMES.len()];
        for event in &self.0 {
            match *event {
                Event::Add(m, _, cpus) => sets[m] = cpus,
                Event::Set(m, mask) => sets[m] = Some(mask),
                Event::Clear(m) => sets[m] = None,
                Event::Swap(m, o) => sets.swap(m, o),
                _ => {}
            }
        }
        sets[n]
    }

    fn crews(&self, n: usize) -> i32 {
        let mut crews = [0; NAMES.len()];
        for event in &self.0 {
            match *event {
                Event::Add(m, loaded, _) => crews[m] = i32::from(loaded),
                Event::Spawn(m) => crews[m] += 1,
                Event::Stop(m) | Event::Remove(m) => crews[m] = 0,
                Event::Move(m, o) => {
                    crews[o] += crews[m];
                    crews[m] = 0;
                }
                _ => {}
            }
        }
        crews[n]
    }

    fn frozen_itself(&self, n: usize) -> bool {
        let last = self.life(n).iter().rev().find(|e| matches!(**e, Event::Freeze(m) | Event::Unfreeze(m) if m == n));
        matches!(last, Some(Event::Freeze(_)))
    }

    fn above(n: usize) -> Option<usize> {
        NAMES[n].starts_with("a/").then_some(0)
    }

    fn frozen(&self, n: usize) -> bool {
        self.frozen_itself(n) || Self::above(n).is_some_and(|above| self.frozen_itself(above))
    }

    fn has_children(&self, n: usize) -> bool {
        n == 0 && (self.alive(2) || self.alive(3))
    }

    fn offline(&self, cpu: u32) -> bool {
        let last = self.0.iter().rev().find(|e| matches!(**e, Event::Offline(c) | Event::Online(c) if c == cpu));
        matches!(last, Some(Event::Offline(_)))
    }

    fn effective(&self, n: Option<usize>) -> u8 {
        let Some(n) = n else {
            return (0..CPUS).filter(|c| !self.offline(*c)).map(|c| 1 << c).sum();
        };
        let above = self.effective(Self::above(n));
        match self.cpuset(n).map(|own| own & above) {
            None | Some(0) => above,
            Some(own) => own,
        }
    }

    fn may(&self, event: Event) -> bool {
        let here = |n: usize| self.alive(n);
        match event {
            Event::Add(n, ..) => {
                let above = Self::above(n);
                !here(n) && above.is_none_or(|a| here(a) && self.crews(a) == 0 && !self.frozen(a))
            }
            Event::Remove(n) => here(n) && !self.has_children(n),
            Event::Set(n, _) => here(n),
            Event::Clear(n) => here(n) && self.cpuset(n).is_some(),
            Event::Swap(n, m) => n != m && here(n) && here(m) && self.cpuset(n).is_some() && self.cpuset(m).is_some(),
            Event::Freeze(n) => here(n) && !self.frozen_itself(n),
            Event::Unfreeze(n) => {
                here(n) && self.frozen_itself(n) && !Self::above(n).is_some_and(|a| self.frozen_itself(a))
            }
            Event::Spawn(n) => here(n) && !self.frozen(n) && !self.has_children(n),
            Event::Stop(n) => here(n) && self.crews(n) > 0,
            Event::Move(n, m) => {
                let both = n != m && here(n) && here(m) && !self.frozen(n) && !self.frozen(m);
                both && !self.has_children(m) && self.crews(n) > 0
            }
            Event::Offline(c) => c != 0 && c < CPUS && !self.offline(c),
            Event::Online(c) => c != 0 && c < CPUS && self.offline(c),
        }
    }
}

fn events() -> impl Strategy<Value = Event> {
    let n = || 0..NAMES.len();
    let mask = || 1u8..16;
    prop_oneof![
        4 => (n(), any::<bool>(), proptest::option::of(mask())).prop_map(|(n, l, c)| Event::Add(n, l, c)),
        1 => n().prop_map(Event::Remove),
        2 => (n(), mask()).prop_map(|(n, m)| Event::Set(n, m)),
        1 => n().prop_map(Event::Clear),
        2 => (n(), n()).prop_map(|(n, m)| Event::Swap(n, m)),
        1 => n().prop_map(Event::Freeze),
        1 => n().prop_map(Event::Unfreeze),
        1 => n().prop_map(Event::Spawn),
        1 => n().prop_map(Event::Stop),
        2 => (n(), n()).prop_map(|(n, m)| Event::Move(n, m)),
        2 => (0..CPUS + 1).prop_map(Event::Offline),
        1 => (0..CPUS + 1).prop_map(Event::Online),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_plan_and_a_model_of_histories_agree_on_what_may_be_done_and_on_every_cgroup_s_cpus(
        wishes in proptest::collection::vec(events(), 1..40),
    ) {
        let topology = machine();
        let mut world = World::new(&topology, false);
        let mut history = History(Vec::new());
        for event in wishes {
            let before = world.clone();
            let said = world.apply(&op(event), &topology);
            prop_assert_eq!(said.is_ok(), history.may(event), "{:?} after {:?}: {:?}", event, history.0, said);
            if said.is_err() {
                world = before;
                continue;
            }
            history.0.push(event);
            for (n, name) in NAMES.iter().enumerate().filter(|(n, _)| history.alive(*n)) {
                let mask: u8 = world.allowed(Some(name)).iter().map(|c| 1 << c).sum();
                prop_assert_eq!(mask, history.effective(Some(n)), "{} after {:?}", name, history.0);
                prop_assert_eq!(world.is_frozen(name), history.frozen(n));
            }
        }
    }

    #[test]
    fn holds_fill_the_duration_and_never_more(
        parts in proptest::collection::vec((0u32..4, 0.0..0.6f64, 1u64..4000), 1..6), seconds in 1u64..10,
    ) {
        let duration = Duration::from_secs(seconds);
        let ops = || vec![Op::snapshot("s")];
        let steps: Vec<Step> = parts.iter().map(|(kind, frac, ms)| match kind {
            0 => Step::with_ops(ops(), HoldSpec::Frac(*frac)),
            1 => Step::with_ops(ops(), HoldSpec::Fixed(Duration::from_millis(*ms))),
            2 => Step::with_ops(ops(), HoldSpec::Loop { interval: Duration::from_millis(*ms) }),
            _ => Step::with_ops(ops(), HoldSpec::FULL),
        }).collect();
        // The same sums in whole nanoseconds of the parts.
        let fracs: f64 = parts.iter().filter(|p| p.0 == 0).map(|p| p.1).sum();
        let fixed: u64 = parts.iter().filter(|p| p.0 == 1).map(|p| p.2).sum();
        let open = parts.iter().filter(|p| p.0 >= 2).count();
        let left = seconds as f64 * 1000.0 * (1.0 - fracs) - fixed as f64;
        match shares(duration, &steps) {
            Ok(holds) => {
                let sum: f64 = holds.iter().map(Duration::as_secs_f64).sum();
                prop_assert!(fracs <= 1.0 + 1e-6 && left > -0.01, "{} {}", fracs, left);
                prop_assert!(sum <= seconds as f64 + 1e-5, "{}", sum);
                prop_assert!(open == 0 || (sum - seconds as f64).abs() < 1e-4, "{}", sum);
            }
            Err(e) => {
                let each = left / open.max(1) as f64;
                let too_long = parts.iter().any(|p| p.0 == 2 && p.2 as f64 >= each - 0.01);
                prop_assert!(fracs > 1.0 - 1e-6 || left < 0.01 || (open > 0 && each < 1.01) || too_long, "{:#}", e);
            }
        }
    }
}

fn refused(steps: &[Step]) -> String {
    format!("{:#}", plan(&machine(), false, Duration::from_secs(2), &Backdrop::new(), steps).unwrap_err())
}

#[test]
fn what_cannot_be_done_is_said_with_its_step_and_operation_before_anything_starts() {
    let a = || CgroupDef::named("a");
    let first = || Step::with_defs(vec![a()], HoldSpec::Frac(0.5));
    let then = |op| vec![first(), Step::with_ops(vec![op], HoldSpec::FULL)];
    let ms = Duration::from_millis;
    for (steps, wanted) in [
        (vec![], "at least one step"),
        (vec![Step::with_defs(vec![], HoldSpec::FULL)], "nothing would be tested"),
        (vec![Step::with_defs(vec![CgroupDef::empty("a")], HoldSpec::FULL)], "nothing would be tested"),
        (vec![Step::with_defs(vec![a(), a()], HoldSpec::FULL)], "step 1 of 1: there is a cgroup `a` already"),
        (vec![Step::with_defs(vec![CgroupDef::named("b/c")], HoldSpec::FULL)], "there is no cgroup `b` at this point"),
        (vec![Step::with_defs(vec![a(), CgroupDef::named("a/c")], HoldSpec::FULL)], "declare it with CgroupDef::empty"),
        (then(Op::remove_cgroup("b")), "step 2 of 2: operation 1 (`remove_cgroup b`): there is no cgroup `b`"),
        (then(Op::swap_cpusets("a", "a")), "cannot trade its cpuset with itself"),
        (then(Op::set_cpuset("a", CpusetSpec::Llc(2))), "is empty"),
        (then(Op::cpu_offline(0)), "CPU 0 stays online"),
        (then(Op::cpu_offline(4)), "CPU 4 is not one of [0, 1, 2, 3]"),
        (then(Op::cpu_online(1)), "CPU 1 is online already"),
        (then(Op::pin_bpf_map("a/b")), "`a/b` is no name of a BPF map"),
        (
            vec![first(), Step::with_ops(vec![Op::pin_bpf_map("m.x"), Op::pin_bpf_map("m_x")], HoldSpec::FULL)],
            "the BPF map `m_x` is pinned already",
        ),
        (then(Op::kill_payload("p")), "payload `p` does not run at this point"),
        (then(Op::spawn("a", WorkSpec::new(WorkType::PipeIo))), "workers 1"),
        (then(Op::set_affinity("a", crate::AffinityIntent::SmtSiblingPair)), "a core with two threads"),
        (vec![Step::with_defs(vec![a()], HoldSpec::Frac(1.5))], "step 1 of 1: Frac(1.5) is not from 0 to 1"),
        (vec![Step::with_defs(vec![a()], HoldSpec::Frac(f64::NAN))], "Frac(NaN) is not from 0 to 1"),
        (vec![first(), Step::with_ops(vec![], HoldSpec::Frac(0.6))], "fractions of all steps are 1.1 together"),
        (vec![Step::with_defs(vec![a()], HoldSpec::Fixed(ms(2001)))], "raise duration_s"),
        (
            vec![Step::with_defs(vec![a()], HoldSpec::Frac(1.0)), Step::with_ops(vec![], HoldSpec::FULL)],
            "that is nothing",
        ),
        (vec![first(), Step::with_ops(vec![], HoldSpec::Loop { interval: ms(5) })], "no operations to repeat"),
        (vec![first(), Step::with_ops(vec![Op::snapshot("s")], HoldSpec::Loop { interval: ms(0) })], "interval of 0"),
        (vec![first(), Step::with_ops(vec![Op::snapshot("s")], HoldSpec::Loop { interval: ms(1000) })], "is done once"),
        (
            vec![first(), Step::with_ops(vec![Op::remove_cgroup("a")], HoldSpec::Loop { interval: ms(100) })],
            "operation 1 (`remove_cgroup a`) in round 2: there is no cgroup `a`",
        ),
    ] {
        let text = refused(&steps);
        assert!(text.contains(wanted), "`{wanted}` is not in `{text}`");
    }
}

#[test]
fn the_backdrop_lasts() {
    let backdrop = Backdrop::new().cgroup(CgroupDef::named("a"));
    for op in [Op::remove_cgroup("a"), Op::stop("a"), Op::move_tasks("a", "b")] {
        let step = Step::new(vec![CgroupDef::empty("b")], vec![op], HoldSpec::FULL);
        let text = format!("{:#}", plan(&machine(), false, Duration::from_secs(1), &backdrop, &[step]).unwrap_err());
        assert!(text.contains("the backdrop's"), "{text}");
    }
}

#[test]
fn a_test_on_the_host_leaves_its_cpus_interrupts_and_scheduler_alone() {
    for op in [Op::cpu_offline(1), Op::steer_irq(4, CpusetSpec::Llc(0)), Op::detach_scheduler(), Op::pin_bpf_map("m")] {
        let step = Step::new(vec![CgroupDef::named("a")], vec![op], HoldSpec::FULL);
        let text =
            format!("{:#}", plan(&machine(), true, Duration::from_secs(1), &Backdrop::new(), &[step]).unwrap_err());
        assert!(text.contains("a host_only test leaves the host's"), "{text}");
    }
}
