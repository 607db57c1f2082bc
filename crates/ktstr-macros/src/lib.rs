//! The macros of ktstr: `#[ktstr_test]`, `declare_scheduler!`, `#[derive(Payload)]` and `#[distributed_slice]`.
//!
//! They check what tokens can tell and leave types to the compiler; the rules between attributes are checked by
//! `KtstrTestEntry::validate`, which the expansion calls in a `const`, so that a raw entry hears the same words at run
//! time. Everything in an expansion is reached through `::ktstr::__private`: users need no other dependency.
#![deny(missing_docs)]

mod builtin_line;
mod declare_scheduler;
mod kernel_spec;
mod known;
mod ktstr_test;
mod passing;
mod payload;
mod scheduler_fields;
mod setting;
mod shape;
mod signature;
mod slice;

use declare_scheduler::Declaration;
use proc_macro::TokenStream;
use quote::quote;
use setting::Settings;
use syn::{DeriveInput, Error, ItemFn, parse_macro_input};

/// Makes a function a test of a scheduler.
///
/// The function is `fn name(ctx: &Ctx) -> Result<AssertResult>`. It is registered in `KTSTR_TESTS`, and libtest gets a
/// wrapper of the same name, so that `cargo test` and `cargo nextest run` both find it. `cfg` applies to all of it,
/// lint attributes to the body, everything else to the wrapper.
///
/// Boolean attributes stand alone or take `= true` and `= false`; numbers and strings may be constants.
///
/// | attributes | say |
/// |---|---|
/// | `scheduler`, `extra_sched_args`, `config` | what is under test, more arguments, and its configuration; without it, EEVDF |
/// | `staged_schedulers` | schedulers for `Ctx::scheduler_control()` to attach in the running test |
/// | `payload`, `workloads` | programs: the main workload, which the test lasts as long as, and company for all its time |
/// | `numa_nodes`, `llcs`, `cores`, `threads`, `memory_mib` | the declared machine; `llcs` counts all of it, `cores` one LLC |
/// | `min_llcs`, `max_llcs`, `min_cpus`, `max_cpus`, `min_numa_nodes`, `max_numa_nodes`, `requires_smt` | which gauntlet presets fit |
/// | `duration_s` (12), `watchdog_timeout_s` (5), `cleanup_budget_ms` | how long |
/// | `not_stuck`, `isolation`, `max_gap_ms`, `max_spread_pct`, … | the checks, as in `Assert`; `max_spread_pct`, `max_imbalance_ratio` and `max_local_dsq_depth` may stand alone for their defaults |
/// | `allow_kernel_log` | words of kernel log lines that would otherwise fail the test |
/// | `expect_err`, `expect_scx_bpf_error_contains`, `expect_scx_bpf_error_matches`, `allow_inconclusive`, `survives_storm`, `auto_repro`, `expect_auto_repro` | what counts as a pass |
/// | `post_vm`, `post_vm_unconditional` | checks on the host when the machine has ended: of a run that would pass, of any |
/// | `performance_mode`, `no_perf_mode`, `cpu_budget`, `host_only` | where it runs |
/// | `extra_include_files`, `workload_root_cgroup`, `bpf_map_write` | what the guest is given |
/// | `wprof` | a trace of the run is kept although it passes (one that fails leaves one anyhow) |
/// | `perf_delta_assertions` | figures that `cargo ktstr perf-delta` judges by limits of the test's own, `[PerfDeltaAssertion::lower("p99_us", 0.2)]` |
///
/// `num_snapshots`, `watch_bpf_maps` and `wprof_args` are checked, and a test that uses them fails when run: their machinery is
/// not there yet.
#[proc_macro_attribute]
pub fn ktstr_test(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let rest = proc_macro2::TokenStream::from(item.clone());
    let Ok(function) = syn::parse::<ItemFn>(item) else {
        let error = Error::new_spanned(&rest, "#[ktstr_test] goes on a function").into_compile_error();
        return quote!(#error #rest).into();
    };
    let expanded = syn::parse::<Settings>(attributes).and_then(|settings| ktstr_test::expand(&settings, &function));
    // The function stays where an attribute is wrong, so that only the attribute is complained about.
    let kept = |e: Error| {
        let error = e.into_compile_error();
        quote!(#error #[allow(dead_code)] #rest)
    };
    expanded.unwrap_or_else(kept).into()
}

/// Declares a scheduler as a constant and registers it for the verifier sweep.
///
/// `declare_scheduler!(NAME, { name = "…", …, })` makes `pub const NAME: Scheduler`; a visibility and attributes may
/// stand before the name. `name` is required, and one of
///
/// * `binary = "package"`: a package or binary that is searched for, or built;
/// * `binary_path = "/path"`: that file, as given;
/// * `kernel_builtin_enable = ["echo V > /abs/path"]` with `kernel_builtin_disable`: part of the kernel.
///
/// Optional: `topology = (numa_nodes, llcs, cores per llc, threads per core)`, `constraints`, `sched_args`, `kargs`,
/// `sysctls = [("name", "value")]`, `config_file`, `config_file_def = ("argument", "path in the guest")`,
/// `cgroup_parent`, `kernels = ["6.18..7.3"]`, `assert`, `verifier_exclude_topologies`.
#[proc_macro]
pub fn declare_scheduler(input: TokenStream) -> TokenStream {
    let declaration = parse_macro_input!(input as Declaration);
    declaration.expand().into()
}

/// Makes a struct the report of a program: its fields are the figures in the program's output.
///
/// ```ignore
/// #[derive(Payload)]
/// #[payload(binary = "hackbench", package = "rt-tests", args = ["--loops", "100"], output = text, timeout_s = 30)]
/// struct Hackbench {
///     #[metric(after = "Time:", at_most = 5.0)]
///     time_s: f64,
/// }
/// ```
///
/// `Hackbench::PAYLOAD` is the program for `payload = …` and `workloads = […]` of a test, and `Hackbench::run(ctx)` runs it
/// in a body and gives the figures back.
///
/// `#[payload(…)]`: `binary` (a name on the PATH, or an absolute path); optional `name` (the struct's in snake case),
/// `package` (the Debian package that brings the program), `args` (`{cpus}` and `{duration_s}` are filled in), `cgroup`,
/// `output` (`exit_code`, `json`, `text`; `json` where there are fields), `timeout_s`, `files`.
///
/// `#[metric(…)]`: in JSON `path = "/a/0/b"`, a pointer (by default the field's name), in a text `after = "words"`; `at_most`,
/// `at_least` and `name`. Fields are `f64`, `u64`, or an `Option` for what the program may leave out.
#[proc_macro_derive(Payload, attributes(payload, metric))]
pub fn derive_payload(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    payload::expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Adds a static to `KTSTR_TESTS` or `KTSTR_SCHEDULERS` by hand, as linkme's attribute of that name does, without a
/// dependency on linkme.
#[proc_macro_attribute]
pub fn distributed_slice(slice: TokenStream, item: TokenStream) -> TokenStream {
    slice::expand(&slice.into(), &item.into()).unwrap_or_else(Error::into_compile_error).into()
}
