//! Expansion of `declare_scheduler!`.

use crate::scheduler_fields::{FIELDS, field, spec};
use crate::setting::Settings;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Ident, Result, Token, Visibility, braced, parse_quote};

/// `#[attributes] pub CONST, { field = value, … }`.
pub struct Declaration {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    constant: Ident,
    settings: Settings,
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = match input.parse()? {
            Visibility::Inherited => parse_quote!(pub),
            given => given,
        };
        let constant = input.parse().map_err(|e| Error::new(e.span(), "expected `NAME, { name = \"…\", … }`"))?;
        input.parse::<Token![,]>()?;
        let fields;
        braced!(fields in input);
        let settings = fields.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { attributes, visibility, constant, settings })
    }
}

impl Declaration {
    /// The constant and its registration; or every mistake in the declaration, and a constant that keeps the tests that
    /// use it from being complained about as well.
    pub fn expand(&self) -> TokenStream {
        self.try_expand().unwrap_or_else(|e| {
            let Self { visibility, constant, .. } = self;
            let error = e.into_compile_error();
            quote! {
                #error
                #[allow(dead_code, missing_docs)]
                #visibility const #constant: ::ktstr::__private::Scheduler = ::ktstr::__private::Scheduler::DEFAULT;
            }
        })
    }

    fn try_expand(&self) -> Result<TokenStream> {
        let Self { attributes, visibility, constant, settings } = self;
        let mut problems = settings.check_names("field", FIELDS);
        if settings.get("name").is_none() {
            let message = "a scheduler needs a name: add `name = \"…\"`, as tests and verifier cells show it";
            problems.add(Error::new(constant.span(), message));
        }
        let spec = spec(constant, settings, &mut problems);
        let fields: Vec<TokenStream> =
            settings.0.iter().filter_map(|setting| problems.take(field(setting)).flatten()).collect();
        problems.into_result()?;

        let documented = attributes.iter().any(|a| a.path().is_ident("doc"));
        let text = format!(" The scheduler `{constant}`, from `declare_scheduler!`.");
        let doc = (!documented).then(|| quote!(#[doc = #text]));
        let cfg: Vec<&Attribute> = attributes.iter().filter(|a| a.path().is_ident("cfg")).collect();
        Ok(quote_spanned! {constant.span()=>
            #doc
            #(#attributes)*
            #visibility const #constant: ::ktstr::__private::Scheduler = ::ktstr::__private::Scheduler {
                #(#fields,)*
                spec: #spec,
                ..::ktstr::__private::Scheduler::DEFAULT
            };

            #(#cfg)*
            const _: () = {
                #[::ktstr::__private::linkme::distributed_slice(::ktstr::__private::KTSTR_SCHEDULERS)]
                #[linkme(crate = ::ktstr::__private::linkme)]
                static REGISTERED: &'static ::ktstr::__private::Scheduler = &#constant;
            };
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(tokens: TokenStream) -> String {
        let expanded = syn::parse2::<Declaration>(tokens).and_then(|d| d.try_expand());
        expanded.err().map(|e| e.into_iter().map(|e| format!("{e}\n")).collect()).unwrap_or_default()
    }

    #[test]
    fn every_documented_field_is_accepted() {
        let said = refusal(quote!(BPFLAND, {
            name = "bpfland",
            binary_path = "/opt/scx/bin/scx_bpfland",
            topology = (1, 2, 2, 1),
            constraints = TopologyConstraints::DEFAULT,
            sched_args = ["--verbose", ARG],
            kargs = ["nosmt"],
            sysctls = [("kernel.sched_schedstats", "1")],
            config_file = "sched.json",
            config_file_def = ("--config={file}", "/etc/sched.json"),
            cgroup_parent = "/ktstr",
            kernels = ["6.18..7.3"],
            assert = Assert::NONE,
            verifier_exclude_topologies = ["tiny-1llc"],
        }));
        assert_eq!(said, "");
    }

    #[test]
    fn each_mistake_is_named() {
        let cases = [
            (quote!(X, { binary = "b" }), "needs a name"),
            (quote!(X, { name = "x" }), "where this scheduler comes from"),
            (quote!(X, { name = "x", binary = "b", binary_path = "/b" }), "from binary and binary_path"),
            (quote!(X, { name = "x", kernel_builtin_enable = ["echo 1 > /x"] }), "needs `kernel_builtin_disable`"),
            (quote!(X, { name = "eevdf", binary = "b" }), "is taken"),
            (quote!(X, { name = "kernel_default", binary = "b" }), "is taken"),
            (quote!(X, { name = "a/b", binary = "b" }), "must not contain"),
            (quote!(X, { name = "x", binary = "dir/b" }), "binary_path = \"dir/b\""),
            (quote!(X, { name = "x", binary = "b", colour = 1 }), "unknown field `colour`; known: name, binary"),
            (quote!(X, { name = "x", name = "y", binary = "b" }), "given twice"),
            (quote!(X, { name = "x", binary = "b", kernels = ["7.3..6.18"] }), "\"6.18..7.3\""),
            (quote!(X, { name = "x", binary = "b", topology = (1, 2, 2) }), "four numbers"),
            (quote!(X, { name = "x", binary = "b", topology = (2, 3, 2, 1) }), "do not divide"),
            (quote!(X, { name = "x", binary = "b", topology = (1, 0, 2, 1) }), "above zero"),
            (quote!(X, { name = "x", binary = "b", sysctls = ["a=b"] }), "list of pairs"),
            (quote!(X, { name = "x", binary = 7 }), "expects a string"),
        ];
        for (tokens, words) in cases {
            let said = refusal(tokens);
            assert!(said.contains(words), "wanted `{words}` in: {said}");
        }
    }

    #[test]
    fn a_scheduler_of_the_kernel_needs_both_lists_in_either_order() {
        let said = refusal(quote!(X, {
            name = "x",
            kernel_builtin_disable = ["echo 0 > /sys/x"],
            kernel_builtin_enable = ["echo 1 > /sys/x", "echo 2 > /sys/y"],
        }));
        assert_eq!(said, "");
    }
}
