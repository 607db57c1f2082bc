//! Scenarios to start from.

/// Ready-made scenarios, each a function of its context; what a machine lacks for one is a skip that says what it wants.
pub mod scenarios {
    use crate::{
        AffinityIntent, Backdrop, CgroupDef, CpusetSpec, Ctx, HoldSpec, Op, Step, WorkSpec, WorkType, execute_defs,
        execute_scenario, execute_steps,
    };
    use anyhow::Result;
    use ktstr_verdict::AssertResult;
    use std::time::Duration;

    /// Workers for each CPU in [`oversubscribed`], in percent.
    const OVERSUBSCRIBED_PCT: f64 = 300.0;
    /// From one hotplug to the next in [`hotplug_storm`]: a CPU takes some tens of ms to go and to come.
    const HOTPLUG_EVERY: Duration = Duration::from_millis(200);

    fn cpus(ctx: &Ctx) -> u32 {
        let topology = ctx.topology();
        (0..topology.total_cpus()).filter(|cpu| topology.is_online(*cpu)).map(|_| 1).sum()
    }

    /// A skip when the machine has too few CPUs.
    fn too_few_cpus(ctx: &Ctx, wanted: u32) -> Option<AssertResult> {
        let have = cpus(ctx);
        (have < wanted).then(|| AssertResult::skip(format!("wants at least {wanted} CPUs, the machine has {have}")))
    }

    fn half(index: u32) -> CpusetSpec {
        CpusetSpec::Disjoint { index, of: 2 }
    }

    fn spin(name: &str, workers: u32) -> CgroupDef {
        CgroupDef::named(name).workers(workers.max(1)).work_type(WorkType::SpinWait)
    }

    fn bursts(name: &str, workers: u32) -> CgroupDef {
        CgroupDef::named(name).workers(workers.max(1)).work_type(WorkType::bursty_ms(20, 10))
    }

    /// Two cgroups that together keep every CPU busy: one spins, the other works in bursts.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn steady(ctx: &Ctx) -> Result<AssertResult> {
        let half = cpus(ctx) / 2;
        execute_defs(ctx, vec![spin("steady_spin", half), bursts("steady_burst", half)])
    }

    /// One cgroup for each last-level cache, held to it, with a spinning worker for each of its CPUs. Wants 2 caches.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn steady_llc(ctx: &Ctx) -> Result<AssertResult> {
        let llcs = ctx.topology().llcs;
        if llcs < 2 {
            return Ok(AssertResult::skip(format!("wants at least 2 last-level caches, the machine has {llcs}")));
        }
        let defs = (0..llcs).map(|llc| {
            let set = CpusetSpec::Llc(llc);
            let workers = u32::try_from(set.resolve(ctx.topology())?.len())?;
            Ok(spin(&format!("llc{llc}"), workers).cpuset(set))
        });
        execute_defs(ctx, defs.collect::<Result<_>>()?)
    }

    /// Three times as many workers as CPUs, half of which spin while the others work in bursts.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn oversubscribed(ctx: &Ctx) -> Result<AssertResult> {
        let share = OVERSUBSCRIBED_PCT / 2.0;
        execute_defs(ctx, vec![spin("crowd_spin", 1).workers_pct(share), bursts("crowd_burst", 1).workers_pct(share)])
    }

    /// Two cgroups everywhere; half-way each is held to its half of the CPUs. Wants 2 CPUs.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn cpuset_apply(ctx: &Ctx) -> Result<AssertResult> {
        if let Some(skip) = too_few_cpus(ctx, 2) {
            return Ok(skip);
        }
        let workers = cpus(ctx) / 2;
        execute_steps(
            ctx,
            vec![
                Step::with_defs(vec![spin("a", workers), bursts("b", workers)], HoldSpec::Frac(0.5)),
                Step::with_ops(vec![Op::set_cpuset("a", half(0)), Op::set_cpuset("b", half(1))], HoldSpec::FULL),
            ],
        )
    }

    /// Two cgroups, each held to its half of the CPUs; half-way both are let everywhere. Wants 2 CPUs.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn cpuset_clear(ctx: &Ctx) -> Result<AssertResult> {
        if let Some(skip) = too_few_cpus(ctx, 2) {
            return Ok(skip);
        }
        let workers = cpus(ctx) / 2;
        let held = vec![spin("a", workers).cpuset(half(0)), bursts("b", workers).cpuset(half(1))];
        execute_steps(
            ctx,
            vec![
                Step::with_defs(held, HoldSpec::Frac(0.5)),
                Step::with_ops(vec![Op::clear_cpuset("a"), Op::clear_cpuset("b")], HoldSpec::FULL),
            ],
        )
    }

    /// One cgroup grows from half of the CPUs into the other's, and then shrinks to one CPU. Wants 2 CPUs.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn cpuset_resize(ctx: &Ctx) -> Result<AssertResult> {
        if let Some(skip) = too_few_cpus(ctx, 2) {
            return Ok(skip);
        }
        let workers = cpus(ctx) / 2;
        let held = vec![spin("a", workers).cpuset(half(0)), spin("b", workers).cpuset(half(1))];
        let grown = CpusetSpec::Overlap { index: 0, of: 2, frac: 0.5 };
        let least = CpusetSpec::Disjoint { index: 0, of: cpus(ctx) };
        execute_steps(
            ctx,
            vec![
                Step::with_defs(held, HoldSpec::FULL),
                Step::with_ops(vec![Op::set_cpuset("a", grown)], HoldSpec::FULL).named("grown"),
                Step::with_ops(vec![Op::set_cpuset("a", least)], HoldSpec::FULL).named("shrunk"),
            ],
        )
    }

    /// A second cgroup comes half-way.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn cgroup_add(ctx: &Ctx) -> Result<AssertResult> {
        let workers = cpus(ctx) / 2;
        execute_steps(
            ctx,
            vec![
                Step::with_defs(vec![spin("first", workers)], HoldSpec::Frac(0.5)),
                Step::with_ops(vec![Op::add_cgroup(bursts("second", workers))], HoldSpec::FULL),
            ],
        )
    }

    /// One of two cgroups goes half-way.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn cgroup_remove(ctx: &Ctx) -> Result<AssertResult> {
        let workers = cpus(ctx) / 2;
        execute_steps(
            ctx,
            vec![
                Step::with_defs(vec![spin("stays", workers), bursts("goes", workers)], HoldSpec::Frac(0.5)),
                Step::with_ops(vec![Op::remove_cgroup("goes")], HoldSpec::FULL),
            ],
        )
    }

    /// Workers are bound to half of the CPUs, then to one cache each, then to CPUs of their own choice, then set free. Wants
    /// 2 CPUs.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn affinity_change(ctx: &Ctx) -> Result<AssertResult> {
        if let Some(skip) = too_few_cpus(ctx, 2) {
            return Ok(skip);
        }
        let first_half = AffinityIntent::Exact(half(0).resolve(ctx.topology())?);
        let some = AffinityIntent::RandomSubset { count: cpus(ctx) / 2, seed: 1 };
        let bound = |intent| Step::with_ops(vec![Op::set_affinity("a", intent)], HoldSpec::FULL);
        execute_steps(
            ctx,
            vec![
                Step::with_defs(vec![spin("a", cpus(ctx)).affinity(first_half)], HoldSpec::FULL).named("half"),
                bound(AffinityIntent::LlcAligned).named("one cache each"),
                bound(some).named("some each"),
                bound(AffinityIntent::Inherit).named("free"),
            ],
        )
    }

    /// Two workers for each CPU, each bound to one CPU: one of a pair spins, the other works in bursts.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn affinity_pinned(ctx: &Ctx) -> Result<AssertResult> {
        let pinned = |def: CgroupDef| def.affinity(AffinityIntent::SingleCpu);
        execute_defs(ctx, vec![pinned(spin("pinned_spin", cpus(ctx))), pinned(bursts("pinned_burst", cpus(ctx)))])
    }

    /// A spinning worker for each CPU outside of all cgroups, against a cgroup that works in bursts.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn host_contention(ctx: &Ctx) -> Result<AssertResult> {
        let host = WorkSpec::new(WorkType::SpinWait).workers(cpus(ctx));
        let guest = bursts("contended", cpus(ctx) / 2);
        execute_scenario(ctx, Backdrop::new().work(host), vec![Step::with_defs(vec![guest], HoldSpec::FULL)])
    }

    /// Five kinds of work side by side: spinning, bursts, yields, pipes, futexes; together about two workers for each CPU.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn mixed_workloads(ctx: &Ctx) -> Result<AssertResult> {
        let kind = |name: &str, work: WorkType| CgroupDef::named(name).work_type(work).workers_pct(40.0);
        execute_defs(
            ctx,
            vec![
                kind("spin", WorkType::SpinWait),
                kind("bursts", WorkType::bursty_ms(20, 10)),
                kind("yields", WorkType::YieldHeavy),
                kind("pipes", WorkType::PipeIo),
                kind("futexes", WorkType::FutexPingPong),
            ],
        )
    }

    /// Two cgroups inside another, beside a third outside of it.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn nested_steady(ctx: &Ctx) -> Result<AssertResult> {
        let workers = cpus(ctx) / 2;
        execute_defs(
            ctx,
            vec![
                CgroupDef::empty("outer"),
                spin("outer/spin", workers),
                bursts("outer/burst", workers),
                spin("beside", workers),
            ],
        )
    }

    /// Tasks move from one inner cgroup to another, out to the top, and back. With 2 CPUs or more each inner cgroup is held
    /// to its half of them.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made.
    pub fn nested_task_move(ctx: &Ctx) -> Result<AssertResult> {
        let held = |def: CgroupDef, index| if cpus(ctx) < 2 { def } else { def.cpuset(half(index)) };
        let setup = vec![
            CgroupDef::empty("outer"),
            held(spin("outer/a", cpus(ctx) / 2), 0),
            held(CgroupDef::empty("outer/b"), 1),
            CgroupDef::empty("top"),
        ];
        let moved = |from: &str, to: &str| Step::with_ops(vec![Op::move_tasks(from, to)], HoldSpec::FULL);
        execute_steps(
            ctx,
            vec![
                Step::with_defs(setup, HoldSpec::FULL),
                moved("outer/a", "outer/b"),
                moved("outer/b", "top"),
                moved("top", "outer/a"),
            ],
        )
    }

    /// The last CPU goes and comes, again and again, under a spinning worker for each CPU. Wants 2 CPUs in a machine of its
    /// own. A `sched_ext` scheduler that does not handle hotplug is sent away by the kernel, and does not pass.
    ///
    /// # Errors
    /// Cgroups or workers that could not be made; a CPU that would not go or come.
    pub fn hotplug_storm(ctx: &Ctx) -> Result<AssertResult> {
        if ctx.is_host_only() {
            return Ok(AssertResult::skip("wants a machine of its own: the host's CPUs stay as they are"));
        }
        if let Some(skip) = too_few_cpus(ctx, 2) {
            return Ok(skip);
        }
        let topology = ctx.topology();
        let last = (0..topology.total_cpus()).rev().find(|cpu| topology.is_online(*cpu)).unwrap_or(0);
        let storm = vec![Op::cpu_offline(last), Op::cpu_online(last)];
        execute_steps(
            ctx,
            vec![
                Step::with_defs(vec![spin("under_hotplug", cpus(ctx))], HoldSpec::Frac(0.2)),
                Step::with_ops(storm, HoldSpec::Loop { interval: HOTPLUG_EVERY }).named("storm"),
            ],
        )
    }
}
