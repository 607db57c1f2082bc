//! Where the other attributes of a test function go once it has become several items.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Meta, Result, Token};

/// The attributes of a function, sorted by the item they belong to.
#[derive(Default)]
pub struct Passing {
    /// `cfg`: on every item.
    pub everywhere: Vec<TokenStream>,
    /// Lints and code generation: on the body.
    pub body: Vec<TokenStream>,
    /// `ignore`, documentation and whatever else: on the libtest wrapper.
    pub wrapper: Vec<TokenStream>,
}

/// Attributes about the code of the function.
const OF_THE_BODY: &[&str] =
    &["allow", "expect", "warn", "deny", "forbid", "inline", "cold", "track_caller", "optimize", "target_feature"];

impl Passing {
    /// Sorts `attributes`.
    ///
    /// # Errors
    /// An attribute that the harness cannot honour.
    pub fn sort(attributes: &[Attribute]) -> Result<Self> {
        let mut sorted = Self::default();
        for attribute in attributes {
            sorted.place(&attribute.meta, &[])?;
        }
        Ok(sorted)
    }

    /// `conditions` are the `cfg_attr` predicates around `meta`.
    fn place(&mut self, meta: &Meta, conditions: &[TokenStream]) -> Result<()> {
        if let (true, Meta::List(list)) = (meta.path().is_ident("cfg_attr"), meta) {
            let parts = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone())?;
            let mut parts = parts.iter();
            let predicate = parts.next().map(|p| quote!(#p));
            let inner: Vec<_> = conditions.iter().cloned().chain(predicate).collect();
            return parts.try_for_each(|part| self.place(part, &inner));
        }
        let name = meta.path().segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        refuse(meta, &name)?;
        let target = match name.as_str() {
            "cfg" => &mut self.everywhere,
            name if OF_THE_BODY.contains(&name) => &mut self.body,
            _ => &mut self.wrapper,
        };
        target.push(match conditions {
            [] => quote!(#[#meta]),
            conditions => quote!(#[cfg_attr(all(#(#conditions),*), #meta)]),
        });
        Ok(())
    }
}

fn refuse(meta: &Meta, name: &str) -> Result<()> {
    let why = match name {
        "test" => "drop #[test]: #[ktstr_test] makes the libtest wrapper itself",
        "should_panic" => "#[should_panic] has no meaning in a guest: use #[ktstr_test(expect_err)]",
        "ktstr_test" => "#[ktstr_test] is given twice: keep one",
        _ => return Ok(()),
    };
    Err(Error::new_spanned(meta, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::{ItemFn, parse_quote};

    fn texts(tokens: &[TokenStream]) -> Vec<String> {
        tokens.iter().map(|t| t.to_string().replace(' ', "")).collect()
    }

    #[test]
    fn each_attribute_goes_to_the_item_it_is_about() {
        let function: ItemFn = parse_quote! {
            /// Text.
            #[cfg(feature = "x")]
            #[allow(dead_code)]
            #[ignore = "slow"]
            #[cfg_attr(unix, ignore, allow(unused))]
            fn f() {}
        };
        let sorted = Passing::sort(&function.attrs).expect("all are fine");
        assert_eq!(texts(&sorted.everywhere), ["#[cfg(feature=\"x\")]"]);
        assert_eq!(texts(&sorted.body), ["#[allow(dead_code)]", "#[cfg_attr(all(unix),allow(unused))]"]);
        assert_eq!(
            texts(&sorted.wrapper),
            ["#[doc=r\"Text.\"]", "#[ignore=\"slow\"]", "#[cfg_attr(all(unix),ignore)]"]
        );
    }

    #[test]
    fn attributes_that_libtest_alone_would_honour_are_refused() {
        for function in [
            parse_quote!(
                #[test]
                fn f() {}
            ),
            parse_quote!(
                #[should_panic]
                fn f() {}
            ),
        ] {
            let function: ItemFn = function;
            assert!(Passing::sort(&function.attrs).is_err());
        }
    }
}
