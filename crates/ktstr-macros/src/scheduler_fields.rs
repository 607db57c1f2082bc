//! The fields of `declare_scheduler!`: which there are, and what can be said about their literals at once.

use crate::setting::{Problems, Setting, Settings, value_of, wrong_value};
use crate::shape::{Shape, ungroup};
use crate::{builtin_line, kernel_spec};
use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Result};

/// Every field, in the order messages list them.
pub const FIELDS: &[&str] = &[
    "name",
    "binary",
    "binary_path",
    "kernel_builtin_enable",
    "kernel_builtin_disable",
    "topology",
    "constraints",
    "sched_args",
    "kargs",
    "sysctls",
    "config_file",
    "config_file_def",
    "cgroup_parent",
    "kernels",
    "assert",
    "verifier_exclude_topologies",
];

/// Names that mean "nothing to load".
const TAKEN: &[&str] = &["eevdf", "kernel_default"];

/// The fields of `Scheduler` that follow from one setting alone; `None` for those that [`spec`] looks at together.
pub fn field(setting: &Setting) -> Result<Option<TokenStream>> {
    let name = &setting.name;
    let plain = |shape: Shape| shape.check(setting).map(|v| v.tokens);
    let some = |tokens: TokenStream| quote!(::core::option::Option::Some(#tokens));
    let tokens = match name.to_string().as_str() {
        "name" => scheduler_name(setting)?,
        "topology" => some(topology(setting)?),
        "sched_args" | "kargs" | "verifier_exclude_topologies" => plain(Shape::Texts)?,
        "sysctls" => plain(Shape::TextPairs)?,
        "config_file" | "cgroup_parent" => some(plain(Shape::Text)?),
        "config_file_def" => some(config_file_def(setting)?),
        "kernels" => literals(setting, kernel_spec::check)?,
        "constraints" => {
            expression(setting, "TopologyConstraints { max_cpus: Some(16), ..TopologyConstraints::DEFAULT }")?
        }
        "assert" => expression(setting, "Assert { not_stuck: Some(true), ..Assert::NONE }")?,
        _ => return Ok(None),
    };
    Ok(Some(quote!(#name: #tokens)))
}

/// The `SchedulerSpec`: exactly one way to get the scheduler.
pub fn spec(macro_name: &syn::Ident, settings: &Settings, problems: &mut Problems) -> Option<TokenStream> {
    let ways: Vec<&Setting> = ["binary", "binary_path", "kernel_builtin_enable", "kernel_builtin_disable"]
        .iter()
        .filter_map(|name| settings.get(name))
        .collect();
    let names: Vec<String> = ways.iter().map(|s| s.name.to_string()).collect();
    let spec = quote!(::ktstr::__private::SchedulerSpec);
    match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["binary"] => {
            let text = problems.take(binary(ways[0]))?;
            Some(quote!(#spec::Discover(#text)))
        }
        ["binary_path"] => {
            let text = problems.take(Shape::Text.check(ways[0]))?.tokens;
            Some(quote!(#spec::Path(#text)))
        }
        ["kernel_builtin_enable", "kernel_builtin_disable"] => {
            let enable = problems.take(literals(ways[0], builtin_line::check));
            let disable = problems.take(literals(ways[1], builtin_line::check));
            let (enable, disable) = (enable?, disable?);
            Some(quote!(#spec::KernelBuiltin { enable: #enable, disable: #disable }))
        }
        [] => {
            let message = "nothing says where this scheduler comes from: add `binary = \"package\"`, `binary_path = \
                           \"/path\"`, or `kernel_builtin_enable` with `kernel_builtin_disable`";
            problems.add(Error::new(macro_name.span(), message));
            None
        }
        [one @ ("kernel_builtin_enable" | "kernel_builtin_disable")] => {
            let other = if one.ends_with("enable") { "kernel_builtin_disable" } else { "kernel_builtin_enable" };
            let message = format!("`{one}` needs `{other}`: a scheduler of the kernel is switched on and off again");
            problems.add(Error::new(ways[0].name.span(), message));
            None
        }
        several => {
            let message =
                format!("a scheduler comes from one place, this one from {}: keep one", several.join(" and "));
            problems.add(Error::new(ways[1].name.span(), message));
            None
        }
    }
}

fn string_literal<'a>(setting: &Setting, expr: &'a Expr) -> Result<&'a LitStr> {
    match ungroup(expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => Err(wrong_value(setting, other, "a string literal: it is checked now")),
    }
}

fn scheduler_name(setting: &Setting) -> Result<TokenStream> {
    let literal = string_literal(setting, value_of(setting, "\"bpfland\"")?)?;
    let name = literal.value();
    let problem = if name.trim().is_empty() || name.trim() != name {
        "a scheduler's name must not be empty, nor start or end with a blank".to_owned()
    } else if name.contains(['/', '\\']) {
        format!("`{name}` must not contain `/` or `\\`: verifier cells are named `verifier/{{scheduler}}/…`")
    } else if TAKEN.contains(&name.as_str()) {
        format!("`{name}` is taken: it means that nothing is loaded; choose another name")
    } else {
        return Ok(quote!(#literal));
    };
    Err(Error::new(literal.span(), problem))
}

fn binary(setting: &Setting) -> Result<TokenStream> {
    let value = Shape::Text.check(setting)?.tokens;
    if let Ok(literal) = syn::parse2::<LitStr>(value.clone()) {
        let name = literal.value();
        if name.trim().is_empty() {
            return Err(Error::new(
                literal.span(),
                "`binary` must not be empty: name the package, as in \"scx_bpfland\"",
            ));
        }
        if name.contains('/') {
            let message =
                format!("`binary` is the name of a package or binary; for a file write `binary_path = \"{name}\"`");
            return Err(Error::new(literal.span(), message));
        }
    }
    Ok(value)
}

/// A list of string literals that all pass `check`.
fn literals(setting: &Setting, check: fn(&str) -> std::result::Result<(), String>) -> Result<TokenStream> {
    let expr = ungroup(value_of(setting, "[\"…\"]")?);
    let Expr::Array(array) = expr else {
        return Err(wrong_value(setting, expr, "a list of string literals: `[\"a\", \"b\"]`"));
    };
    let mut problems = Problems::default();
    if array.elems.is_empty() && setting.name != "kernels" {
        problems.add(wrong_value(setting, expr, "at least one line"));
    }
    for element in &array.elems {
        let Some(literal) = problems.take(string_literal(setting, element)) else {
            continue;
        };
        if let Err(message) = check(&literal.value()) {
            problems.add(Error::new(literal.span(), message));
        }
    }
    problems.into_result()?;
    let elements = &array.elems;
    Ok(quote!(&[#elements]))
}

fn topology(setting: &Setting) -> Result<TokenStream> {
    let expr = ungroup(value_of(setting, "(1, 2, 2, 1)")?);
    let Expr::Tuple(tuple) = expr else {
        return Err(wrong_value(setting, expr, TOPOLOGY));
    };
    let mut dimensions = Vec::new();
    for element in &tuple.elems {
        let one = Setting { name: setting.name.clone(), value: Some(element.clone()) };
        dimensions.push(Shape::U32.check(&one)?.tokens);
    }
    let [nodes, llcs, cores, threads] = dimensions.as_slice() else {
        return Err(wrong_value(setting, expr, TOPOLOGY));
    };
    let known: Vec<Option<u32>> = dimensions.iter().map(|d| d.to_string().parse().ok()).collect();
    if known.contains(&Some(0)) {
        return Err(Error::new(expr.span(), "every dimension of a topology must be above zero"));
    }
    if let [Some(nodes), Some(llcs), ..] = known.as_slice()
        && !llcs.is_multiple_of(*nodes)
    {
        let message = format!("{llcs} llcs do not divide among {nodes} NUMA nodes: llcs counts the whole machine");
        return Err(Error::new(expr.span(), message));
    }
    Ok(quote!((#nodes, #llcs, #cores, #threads)))
}

const TOPOLOGY: &str = "four numbers: `(numa_nodes, llcs, cores per llc, threads per core)`";

fn config_file_def(setting: &Setting) -> Result<TokenStream> {
    let expr = ungroup(value_of(setting, "(\"--config={file}\", \"/etc/sched.json\")")?);
    let one = syn::parse_quote!([#expr]);
    let pair = Setting { name: setting.name.clone(), value: Some(one) };
    match Shape::TextPairs.check(&pair) {
        Ok(_) => Ok(quote!(#expr)),
        Err(_) => Err(wrong_value(setting, expr, "a pair of strings: `(argument, path in the guest)`")),
    }
}

fn expression(setting: &Setting, example: &str) -> Result<TokenStream> {
    let expr = value_of(setting, example)?;
    Ok(quote!(#expr))
}
