//! Expansion of `#[ktstr_test]`.

use crate::known::{self, Place};
use crate::passing::Passing;
use crate::setting::{Problems, Settings};
use crate::shape::Value;
use crate::signature;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Ident, ItemFn, Result};

/// What the attributes put into the entry.
#[derive(Default)]
struct Parts {
    fields: Vec<TokenStream>,
    checks: Vec<TokenStream>,
    deferred: Vec<&'static str>,
    references: Vec<TokenStream>,
}

/// The items that stand for `function`, or every mistake in it.
pub fn expand(settings: &Settings, function: &ItemFn) -> Result<TokenStream> {
    let mut problems = settings.check_names("attribute", &known::names());
    problems.take(signature::check(&function.sig));
    let passing = problems.take(Passing::sort(&function.attrs));
    let parts = sort(settings, &mut problems);
    problems.into_result()?;
    Ok(items(&parts, &passing.unwrap_or_default(), function))
}

/// Checks every value and sorts it by its place.
fn sort(settings: &Settings, problems: &mut Problems) -> Parts {
    let mut parts = Parts::default();
    for setting in &settings.0 {
        let Some(attribute) = known::find(&setting.name.unraw().to_string()) else {
            continue;
        };
        let default = known::DEFAULTS.iter().find(|(name, _)| setting.value.is_none() && *name == attribute.name);
        if let Some((_, constant)) = default {
            let (field, constant) = (&setting.name, format_ident!("{constant}"));
            parts.checks.push(quote!(#field: ::core::option::Option::Some(::ktstr::__private::Assert::#constant)));
            continue;
        }
        let Some(value) = problems.take(attribute.shape.check(setting)) else {
            continue;
        };
        let field = &setting.name;
        let tokens = &value.tokens;
        // A value of the wrong type is shown alone, not as a wrong argument of `Some`.
        let typed = match &value.ty {
            Some(ty) => quote!({ let __value: #ty = #tokens; __value }),
            None => tokens.clone(),
        };
        match attribute.place {
            Place::Field => parts.fields.push(quote!(#field: #tokens)),
            Place::OptionalField => parts.fields.push(quote!(#field: ::core::option::Option::Some(#typed))),
            Place::Assert => parts.checks.push(quote!(#field: ::core::option::Option::Some(#typed))),
            Place::Deferred => {
                parts.references.push(reference(&value));
                if value.asks {
                    parts.deferred.push(attribute.name);
                }
            }
        }
    }
    parts
}

/// A use of the value, so that a wrong name or type is an error today already.
fn reference(value: &Value) -> TokenStream {
    let tokens = &value.tokens;
    let ty = value.ty.as_ref().map(|ty| quote!(: #ty));
    quote!(let _ #ty = #tokens;)
}

fn items(parts: &Parts, passing: &Passing, function: &ItemFn) -> TokenStream {
    let Parts { fields, checks, deferred, references } = parts;
    let Passing { everywhere, body, wrapper } = passing;
    let ItemFn { vis, sig, block, .. } = function;
    let ident = &sig.ident;
    let bare = ident.unraw().to_string();
    // The span of the fn's name is where every complaint about the whole test is shown.
    let here = ident.span();
    let entry_value = Ident::new(&format!("__KTSTR_VALUE_{bare}"), here);
    let entry = format_ident!("__KTSTR_ENTRY_{bare}", span = here);
    let (name, path_tail) = (&bare, format!("::{ident}"));
    quote_spanned! {here=>
        #(#everywhere)*
        #[doc(hidden)]
        #[allow(non_upper_case_globals)]
        const #entry_value: ::ktstr::__private::KtstrTestEntry = {
            #(#body)*
            #sig #block

            const _: () = {
                #(#references)*
            };

            ::ktstr::__private::KtstrTestEntry {
                name: #name,
                libtest_path: ::core::concat!(::core::module_path!(), #path_tail),
                func: #ident,
                #(#fields,)*
                assert: ::ktstr::__private::Assert {
                    #(#checks,)*
                    ..::ktstr::__private::Assert::NONE
                },
                deferred: &[#(#deferred),*],
                ..::ktstr::__private::KtstrTestEntry::DEFAULT
            }
        };

        #(#everywhere)*
        const _: () = if let ::core::result::Result::Err(__rule) = #entry_value.validate() {
            ::core::panic!("{}", __rule.message());
        };

        #(#everywhere)*
        #[doc(hidden)]
        #[allow(non_upper_case_globals)]
        #[::ktstr::__private::linkme::distributed_slice(::ktstr::__private::KTSTR_TESTS)]
        #[linkme(crate = ::ktstr::__private::linkme)]
        static #entry: ::ktstr::__private::KtstrTestEntry = #entry_value;

        #(#everywhere)*
        #(#wrapper)*
        #[::core::prelude::v1::test]
        #vis fn #ident() {
            ::ktstr::__private::run_as_libtest(&#entry);
        }
    }
}
