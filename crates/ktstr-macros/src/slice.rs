//! `#[distributed_slice(…)]` for users who have no dependency on linkme.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemStatic, Result};

/// The static under linkme's own attribute, told where linkme is unless it says so itself.
pub fn expand(slice: &TokenStream, item: &TokenStream) -> Result<TokenStream> {
    let parsed: ItemStatic = syn::parse2(item.clone())?;
    let told = parsed.attrs.iter().any(|a| a.path().is_ident("linkme"));
    let place = (!told).then(|| quote!(#[linkme(crate = ::ktstr::__private::linkme)]));
    Ok(quote! {
        #[::ktstr::__private::linkme::distributed_slice(#slice)]
        #place
        #item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_is_kept() {
        let given = quote!(
            #[linkme(crate = x)]
            static A: u8 = 1;
        );
        let out = expand(&quote!(S), &given).expect("a static").to_string();
        assert_eq!(out.matches("linkme (crate").count(), 1, "{out}");
    }

    #[test]
    fn anything_but_a_static_is_refused() {
        let function = quote!(
            fn f() {}
        );
        assert!(expand(&quote!(S), &function).is_err());
    }
}
