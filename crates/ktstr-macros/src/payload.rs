//! Expansion of `#[derive(Payload)]`.

use crate::setting::{Problems, Setting, Settings, value_of, wrong_value};
use crate::shape::{Shape, ungroup};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, Fields, Ident, Meta, Result};

/// What `#[payload(…)]` may say.
const PROGRAM: &[&str] = &["name", "binary", "package", "args", "cgroup", "output", "timeout_s", "files"];
/// What `#[metric(…)]` may say.
const METRIC: &[&str] = &["name", "path", "after", "at_most", "at_least"];

/// How the program says what came of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    ExitCode,
    Json,
    Text,
}

/// The implementation of `PayloadReport`, or every mistake.
pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let mut problems = Problems::default();
    let fields = fields_of(input)?;
    let program = problems.take(one_attribute(&input.attrs, "payload", input.ident.span()));
    let program = program.unwrap_or_default();
    take_names(&mut problems, &program, "payload setting", PROGRAM);
    if program.get("binary").is_none() {
        let message =
            "which program is it? Write `#[payload(binary = \"fio\", …)]`: a name on the PATH, or an absolute path";
        problems.add(Error::new(input.ident.span(), message));
    }
    let given = program.get("output").and_then(|setting| problems.take(output(setting)));
    let output = given.unwrap_or(if fields.is_empty() { Output::ExitCode } else { Output::Json });
    if let (Some(field), Output::ExitCode) = (fields.first(), output) {
        let message = "a program that says nothing but its exit code has no figures: write `output = json` or `text`";
        problems.add(Error::new_spanned(field, message));
    }
    let metrics: Vec<Metric> = fields.iter().filter_map(|field| problems.take(metric(field, output))).collect();
    let settings: Vec<TokenStream> =
        program.0.iter().filter_map(|setting| problems.take(program_field(setting)).flatten()).collect();
    problems.into_result()?;
    Ok(implementation(input, &program, output, &settings, &metrics))
}

struct Metric {
    /// The field.
    ident: Ident,
    /// The figure's name.
    name: TokenStream,
    /// A `PayloadMetric`.
    declared: TokenStream,
}

fn implementation(
    input: &DeriveInput,
    program: &Settings,
    output: Output,
    settings: &[TokenStream],
    metrics: &[Metric],
) -> TokenStream {
    let ident = &input.ident;
    let here = ident.span();
    let private = quote!(::ktstr::__private);
    let default_name = snake_case(&ident.unraw().to_string());
    let name = program.get("name").is_none().then(|| quote!(name: #default_name,));
    let output = match output {
        Output::ExitCode => quote!(ExitCode),
        Output::Json => quote!(Json),
        Output::Text => quote!(Text),
    };
    let declared = metrics.iter().map(|m| &m.declared);
    let idents = metrics.iter().map(|m| &m.ident);
    let values = metrics.iter().map(
        |Metric { ident, name, .. }| quote!(#ident: #private::FromMetric::from_metric(__figure(#name)).ok_or(#name)?),
    );
    quote_spanned! {here=>
        impl #private::PayloadReport for #ident {
            const PAYLOAD: #private::Payload = #private::Payload {
                #name
                #(#settings,)*
                output: #private::PayloadOutput::#output,
                metrics: &[#(#declared),*],
                ..#private::Payload::DEFAULT
            };

            #[allow(unused_variables)]
            fn from_figures(
                __figure: &dyn ::core::ops::Fn(&str) -> ::core::option::Option<f64>,
            ) -> ::core::result::Result<Self, &'static str> {
                let __report = Self { #(#values),* };
                // A program that is only declared has fields that nobody reads, which is no fault of its test.
                #(let _ = &__report.#idents;)*
                ::core::result::Result::Ok(__report)
            }
        }

        const _: () = if let ::core::result::Result::Err(__rule) = <#ident as #private::PayloadReport>::PAYLOAD.check() {
            ::core::panic!("{}", __rule);
        };
    }
}

fn fields_of(input: &DeriveInput) -> Result<Vec<&Field>> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a payload is one program: its struct cannot be generic"));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => Ok(named.named.iter().collect()),
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(fields) => {
                Err(Error::new_spanned(fields, "the figures of a program have names: write a struct with named fields"))
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            Err(Error::new(input.ident.span(), "derive Payload for a struct: its fields are the program's figures"))
        }
    }
}

/// The settings in the one attribute of that name.
fn one_attribute(attributes: &[Attribute], name: &str, here: proc_macro2::Span) -> Result<Settings> {
    let mut found = attributes.iter().filter(|a| a.path().is_ident(name));
    let first = found.next();
    if let Some(second) = found.next() {
        return Err(Error::new_spanned(second, format!("`#[{name}]` is given twice: keep one")));
    }
    match first.map(|a| (a, &a.meta)) {
        None if name == "metric" => {
            Err(Error::new(here, "where does this figure stand? Write `#[metric(path = \"/a/b\")]`"))
        }
        None | Some((_, Meta::Path(_))) => Ok(Settings::default()),
        Some((_, Meta::List(list))) => list.parse_args(),
        Some((attribute, Meta::NameValue(_))) => Err(Error::new_spanned(attribute, format!("write `#[{name}(…)]`"))),
    }
}

fn take_names(problems: &mut Problems, settings: &Settings, what: &str, known: &[&str]) {
    problems.take(settings.check_names(what, known).into_result());
}

fn output(setting: &Setting) -> Result<Output> {
    const KINDS: &str = "`exit_code`, `json` or `text`";
    let expr = ungroup(value_of(setting, "json")?);
    let word = match expr {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    };
    match word.as_deref() {
        Some("exit_code") => Ok(Output::ExitCode),
        Some("json") => Ok(Output::Json),
        Some("text") => Ok(Output::Text),
        _ => Err(wrong_value(setting, expr, KINDS)),
    }
}

/// A field of `Payload`; `None` for what is looked at elsewhere.
fn program_field(setting: &Setting) -> Result<Option<TokenStream>> {
    let name = &setting.name;
    let some = |tokens: TokenStream| quote!(::core::option::Option::Some(#tokens));
    let tokens = match name.to_string().as_str() {
        "name" | "binary" => Shape::Text.check(setting)?.tokens,
        "package" | "cgroup" => some(Shape::Text.check(setting)?.tokens),
        "args" | "files" => Shape::Texts.check(setting)?.tokens,
        "timeout_s" => some(Shape::U64.check(setting)?.tokens),
        _ => return Ok(None),
    };
    Ok(Some(quote!(#name: #tokens)))
}

fn metric(field: &Field, output: Output) -> Result<Metric> {
    let ident = field.ident.clone().ok_or_else(|| Error::new_spanned(field, "a figure has a name"))?;
    let mut problems = Problems::default();
    let settings = one_attribute(&field.attrs, "metric", ident.span())?;
    take_names(&mut problems, &settings, "metric setting", METRIC);
    let default = ident.unraw().to_string();
    let text = |problems: &mut Problems, setting| problems.take(Shape::Text.check(setting)).map(|v| v.tokens);
    let name = settings.get("name").and_then(|s| text(&mut problems, s)).unwrap_or_else(|| quote!(#default));
    let (wanted, other) = if output == Output::Text { ("after", "path") } else { ("path", "after") };
    if let Some(setting) = settings.get(other) {
        let message = match other {
            "path" => "`path` is a pointer into JSON; in a text a figure stands `after` words",
            _ => "`after` is for a text; in JSON a figure has a `path`",
        };
        problems.add(Error::new(setting.name.span(), message));
    }
    let at = match settings.get(wanted) {
        Some(setting) => text(&mut problems, setting).unwrap_or_default(),
        None if output == Output::Json => {
            let pointer = format!("/{default}");
            quote!(#pointer)
        }
        None => {
            let message = "after which words does this figure stand? Write `#[metric(after = \"Time:\")]`";
            if settings.get(other).is_none() && output == Output::Text {
                problems.add(Error::new(ident.span(), message));
            }
            quote!("")
        }
    };
    let bounds: Vec<TokenStream> = ["at_most", "at_least"]
        .iter()
        .filter_map(|bound| settings.get(bound))
        .filter_map(|setting| problems.take(Shape::Float.check(setting)).map(|value| (&setting.name, value.tokens)))
        .map(|(bound, value)| quote!(#bound: ::core::option::Option::Some(#value)))
        .collect();
    problems.into_result()?;
    let ty = &field.ty;
    let declared = quote_spanned! {ident.span()=>
        ::ktstr::__private::PayloadMetric {
            name: #name,
            at: #at,
            optional: <#ty as ::ktstr::__private::FromMetric>::OPTIONAL,
            #(#bounds,)*
            ..::ktstr::__private::PayloadMetric::DEFAULT
        }
    };
    Ok(Metric { ident, name, declared })
}

/// `FioRandRead` is `fio_rand_read`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn refusal(input: &DeriveInput) -> String {
        expand(input).err().map(|e| e.into_iter().map(|e| format!("{e}\n")).collect()).unwrap_or_default()
    }

    #[test]
    fn everything_that_is_documented_is_accepted() {
        let said = refusal(&parse_quote! {
            #[payload(
                name = "fio", binary = "fio", package = "fio", args = ["--output-format=json", ARG], cgroup = "disk",
                output = json, timeout_s = 30, files = ["/etc/fio.job"],
            )]
            struct Fio {
                #[metric(path = "/jobs/0/read/iops", at_least = 100, at_most = 1e6)]
                iops: f64,
                #[metric]
                jobs: u64,
                #[metric(name = "p99_ns", path = "/p99")]
                p99: Option<f64>,
            }
        });
        assert_eq!(said, "");
        assert_eq!(
            refusal(&parse_quote!(
                #[payload(binary = "stress-ng")]
                struct Stress;
            )),
            ""
        );
        let text = parse_quote! {
            #[payload(binary = "hackbench", output = text)]
            struct Hackbench { #[metric(after = "Time:")] time_s: f64 }
        };
        assert_eq!(refusal(&text), "");
    }

    #[test]
    fn each_mistake_is_named() {
        let cases: [(DeriveInput, &str); 13] = [
            (
                parse_quote!(
                    struct A;
                ),
                "which program is it?",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a", colour = 1)]
                    struct A;
                ),
                "unknown payload setting `colour`",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    #[payload(binary = "b")]
                    struct A;
                ),
                "given twice",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a", output = yaml)]
                    struct A;
                ),
                "`exit_code`, `json` or `text`",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a", output = exit_code)]
                    struct A {
                        #[metric]
                        m: f64,
                    }
                ),
                "no figures",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    struct A {
                        m: f64,
                    }
                ),
                "where does this figure stand?",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a", output = text)]
                    struct A {
                        #[metric]
                        m: f64,
                    }
                ),
                "after which words",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    struct A {
                        #[metric(after = "T:")]
                        m: f64,
                    }
                ),
                "has a `path`",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    struct A {
                        #[metric(most = 1)]
                        m: f64,
                    }
                ),
                "unknown metric setting",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    struct A {
                        #[metric(at_most = -1)]
                        m: f64,
                    }
                ),
                "not negative",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    struct A(f64);
                ),
                "named fields",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    struct A<T> {
                        #[metric]
                        m: T,
                    }
                ),
                "cannot be generic",
            ),
            (
                parse_quote!(
                    #[payload(binary = "a")]
                    enum A {
                        B,
                    }
                ),
                "for a struct",
            ),
        ];
        for (input, words) in cases {
            let said = refusal(&input);
            assert!(said.contains(words), "wanted `{words}` in: {said}");
        }
    }

    #[test]
    fn a_struct_is_named_as_programs_are() {
        assert_eq!((&*snake_case("Fio"), &*snake_case("FioRandRead")), ("fio", "fio_rand_read"));
    }
}
