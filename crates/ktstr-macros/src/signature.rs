//! The one signature a test may have.

use crate::setting::Problems;
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, GenericParam, Result, ReturnType, Signature, Type};

/// Checks that `sig` is `fn name(ctx: &Ctx) -> Result<AssertResult>`, as far as tokens tell; types are the compiler's.
///
/// # Errors
/// Everything that differs, each at its place.
pub fn check(sig: &Signature) -> Result<()> {
    let wanted = format!("`fn {}(ctx: &Ctx) -> Result<AssertResult>`", sig.ident);
    let mut problems = Problems::default();
    let mut refuse = |span, what: &str| {
        problems.add(Error::new(span, format!("{what}; write {wanted}")));
    };
    if let Some(keyword) = &sig.asyncness {
        refuse(
            keyword.span(),
            "a test cannot be `async`, for nothing in the guest polls it: start a runtime in the body",
        );
    }
    if let Some(keyword) = &sig.unsafety {
        refuse(keyword.span(), "a test cannot be `unsafe`, for the harness calls it: use an unsafe block in the body");
    }
    if let Some(abi) = &sig.abi {
        refuse(abi.span(), "a test cannot have another ABI");
    }
    let generic = sig.generics.params.iter().find(|p| !matches!(p, GenericParam::Lifetime(_)));
    if let Some(parameter) = generic {
        refuse(parameter.span(), "a test cannot be generic, for nobody says for which type it is called");
    }
    match sig.inputs.iter().collect::<Vec<_>>().as_slice() {
        [FnArg::Receiver(receiver)] => {
            refuse(receiver.span(), "a test cannot be a method, for it is called without a value");
        }
        [FnArg::Typed(argument)] => match &*argument.ty {
            Type::Reference(reference) if reference.mutability.is_none() => {}
            Type::Reference(_) => refuse(argument.ty.span(), "the context is shared, not `&mut`"),
            _ => refuse(argument.ty.span(), "the context is passed by reference"),
        },
        [] => refuse(sig.paren_token.span.join(), "a test takes one argument, its context"),
        more => refuse(more[1].span(), "a test takes one argument, its context, and no more"),
    }
    if matches!(sig.output, ReturnType::Default) {
        refuse(sig.ident.span(), "a test returns what it found");
    }
    problems.into_result()
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn refusal(sig: &Signature) -> String {
        check(sig).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_plain_signature_is_accepted_with_or_without_lifetimes() {
        assert!(check(&parse_quote!(fn f(ctx: &Ctx) -> Result<AssertResult>)).is_ok());
        assert!(check(&parse_quote!(fn f<'a>(_: &'a Ctx) -> anyhow::Result<AssertResult>)).is_ok());
    }

    #[test]
    fn every_other_signature_is_refused_with_the_one_to_write() {
        let refused: [(Signature, &str); 9] = [
            (parse_quote!(async fn f(ctx: &Ctx) -> Result<AssertResult>), "async"),
            (parse_quote!(unsafe fn f(ctx: &Ctx) -> Result<AssertResult>), "unsafe"),
            (parse_quote!(extern "C" fn f(ctx: &Ctx) -> Result<AssertResult>), "ABI"),
            (parse_quote!(fn f<T>(ctx: &Ctx) -> Result<AssertResult>), "generic"),
            (parse_quote!(fn f(&self) -> Result<AssertResult>), "method"),
            (parse_quote!(fn f(ctx: &mut Ctx) -> Result<AssertResult>), "&mut"),
            (parse_quote!(fn f(ctx: Ctx) -> Result<AssertResult>), "by reference"),
            (parse_quote!(fn f() -> Result<AssertResult>), "one argument"),
            (parse_quote!(fn f(ctx: &Ctx)), "returns"),
        ];
        for (sig, word) in refused {
            let said = refusal(&sig);
            assert!(said.contains(word) && said.contains("fn f(ctx: &Ctx) -> Result<AssertResult>"), "{said}");
        }
    }
}
