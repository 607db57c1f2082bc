//! What a value must look like, and the tokens it becomes.

use crate::setting::{Setting, value_of, wrong_value};
use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, Lit, Result, UnOp};

/// The shape of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bare, `= true` or `= false`.
    Bool,
    /// A whole number that fits `u32`.
    U32,
    /// A whole number that fits `u64`.
    U64,
    /// A number with or without a fraction.
    Float,
    /// A string.
    Text,
    /// A string that is a regular expression.
    Pattern,
    /// `["a", "b"]`.
    Texts,
    /// One string or `["a", "b"]`.
    TextOrTexts,
    /// `[("a", "b")]`.
    TextPairs,
    /// The name of a constant or function.
    Path,
    /// The name of a function that looks at what a machine left.
    Function,
    /// `[A, B]`, constants of one type.
    Refs,
    /// `[A, b(1)]`: any constant expressions of one type.
    Exprs,
}

/// A value of the right shape.
pub struct Value {
    /// The expression to put into a struct; a list is a slice, a path is a reference.
    pub tokens: TokenStream,
    /// `false` for `false`, `0` and `[]`: the setting is there and asks for nothing.
    pub asks: bool,
    /// The type of `tokens`, where the shape alone says it.
    pub ty: Option<TokenStream>,
}

impl Shape {
    /// Checks the value of `setting`; constants and `const` expressions pass and are left to the compiler's type check.
    pub fn check(self, setting: &Setting) -> Result<Value> {
        if self == Self::Bool {
            return check_bool(setting);
        }
        let expr = ungroup(value_of(setting, self.example())?);
        let wrong = || wrong_value(setting, expr, self.expected());
        let (tokens, asks) = match self {
            Self::Bool => None,
            Self::U32 => whole(setting, expr, u64::from(u32::MAX))?,
            Self::U64 => whole(setting, expr, u64::MAX)?,
            Self::Float => float(setting, expr)?.map(|tokens| (tokens, true)),
            Self::Text => text(expr).map(|tokens| (tokens, true)),
            Self::Pattern => pattern(setting, expr)?.map(|tokens| (tokens, true)),
            Self::TextOrTexts if matches!(expr, Expr::Lit(_)) => text(expr).map(|one| (quote!(&[#one]), true)),
            Self::Texts | Self::TextOrTexts => list(expr, text),
            Self::TextPairs => list(expr, text_pair),
            Self::Path => path(expr).map(|path| (quote_spanned!(expr.span()=> &#path), true)),
            Self::Function => path(expr).map(|path| (path, true)),
            Self::Refs => list(expr, |e| path(e).map(|p| quote_spanned!(e.span()=> &#p))),
            Self::Exprs => list(expr, |e| Some(quote!(#e))),
        }
        .ok_or_else(wrong)?;
        Ok(Value { tokens, asks, ty: self.ty(expr.span()) })
    }

    /// The type of a value, to be complained about at `span`.
    fn ty(self, span: Span) -> Option<TokenStream> {
        match self {
            Self::Bool => Some(quote_spanned!(span=> bool)),
            Self::U32 => Some(quote_spanned!(span=> u32)),
            Self::U64 => Some(quote_spanned!(span=> u64)),
            Self::Float => Some(quote_spanned!(span=> f64)),
            Self::Text | Self::Pattern => Some(quote_spanned!(span=> &'static str)),
            Self::Function => Some(quote_spanned!(span=> ::ktstr::__private::PostVmFn)),
            Self::Texts => Some(quote_spanned!(span=> &'static [&'static str])),
            Self::TextPairs => Some(quote_spanned!(span=> &'static [(&'static str, &'static str)])),
            Self::TextOrTexts | Self::Path | Self::Refs | Self::Exprs => None,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Bool => "`true` or `false`",
            Self::U32 | Self::U64 => "a whole number, not negative",
            Self::Float => "a number, not negative",
            Self::Text => "a string",
            Self::Pattern => "a string, a regular expression",
            Self::Texts => "a list of strings: `[\"a\", \"b\"]`",
            Self::TextOrTexts => "a string or a list of strings: `[\"a\", \"b\"]`",
            Self::TextPairs => "a list of pairs of strings: `[(\"name\", \"value\")]`",
            Self::Path => "the name of a constant or function",
            Self::Function => "the name of a function `fn(&VmResult) -> Result<AssertResult>`",
            Self::Refs => "a list of names: `[A, B]`",
            Self::Exprs => "a list: `[A, B]`",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Bool => "true",
            Self::U32 | Self::U64 => "2",
            Self::Float => "1.5",
            Self::Text => "\"text\"",
            Self::Pattern => "\"stall|watchdog\"",
            Self::Texts | Self::TextOrTexts => "[\"a\", \"b\"]",
            Self::TextPairs => "[(\"name\", \"value\")]",
            Self::Path => "NAME",
            Self::Function => "check",
            Self::Refs | Self::Exprs => "[A, B]",
        }
    }
}

/// The expression inside the invisible group that a `macro_rules!` fragment leaves.
pub fn ungroup(expr: &Expr) -> &Expr {
    match expr {
        Expr::Group(group) => ungroup(&group.expr),
        _ => expr,
    }
}

fn check_bool(setting: &Setting) -> Result<Value> {
    let (on, span) = match setting.value.as_ref().map(ungroup) {
        None => (true, setting.name.span()),
        Some(Expr::Lit(ExprLit { lit: Lit::Bool(b), .. })) => (b.value, b.span()),
        Some(other) => {
            let expected = "nothing, `= true` or `= false`";
            return Err(wrong_value(setting, other, expected));
        }
    };
    Ok(Value { tokens: quote_spanned!(span=> #on), asks: on, ty: Shape::Bool.ty(span) })
}

/// Whether the compiler, not this macro, knows the value: a constant, a call, arithmetic, `env!(…)`.
fn is_computed(expr: &Expr) -> bool {
    matches!(
        ungroup(expr),
        Expr::Path(_)
            | Expr::Macro(_)
            | Expr::Call(_)
            | Expr::MethodCall(_)
            | Expr::Binary(_)
            | Expr::Paren(_)
            | Expr::Cast(_)
            | Expr::Block(_)
            | Expr::Field(_)
            | Expr::Index(_)
    )
}

/// `Ok(None)` for a value that is no whole number.
fn whole(setting: &Setting, expr: &Expr, max: u64) -> Result<Option<(TokenStream, bool)>> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => {
            let value = int
                .base10_parse::<u64>()
                .ok()
                .filter(|v| *v <= max)
                .ok_or_else(|| Error::new(int.span(), format!("`{}` must be at most {max}", setting.name)))?;
            Ok(Some((literal(Literal::u64_unsuffixed(value), int.span()), value != 0)))
        }
        other if is_computed(other) => Ok(Some((quote!(#other), true))),
        _ => Ok(None),
    }
}

fn float(setting: &Setting, expr: &Expr) -> Result<Option<TokenStream>> {
    let digits = match expr {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_digits().to_owned(),
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => float.base10_digits().to_owned(),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => return Ok(None),
        other if is_computed(other) => return Ok(Some(quote!(#other))),
        _ => return Ok(None),
    };
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(literal(Literal::f64_suffixed(value), expr.span()))),
        _ => Err(Error::new(expr.span(), format!("`{}` must be a finite number", setting.name))),
    }
}

fn literal(mut literal: Literal, span: Span) -> TokenStream {
    literal.set_span(span);
    quote!(#literal)
}

fn text(expr: &Expr) -> Option<TokenStream> {
    match ungroup(expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(s), .. }) => Some(quote!(#s)),
        Expr::Path(path) => Some(quote!(#path)),
        Expr::Macro(mac) => Some(quote!(#mac)),
        _ => None,
    }
}

/// A literal is compiled now, so that a wrong one does not wait for its test to run.
fn pattern(setting: &Setting, expr: &Expr) -> Result<Option<TokenStream>> {
    if let Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) = expr
        && let Err(e) = regex_lite::Regex::new(&literal.value())
    {
        let name = &setting.name;
        return Err(Error::new(literal.span(), format!("`{name}` is not a regular expression: {e}")));
    }
    Ok(text(expr))
}

fn text_pair(expr: &Expr) -> Option<TokenStream> {
    let Expr::Tuple(tuple) = ungroup(expr) else {
        return None;
    };
    let [first, second] = [tuple.elems.first()?, tuple.elems.get(1)?].map(text);
    let (first, second) = (first?, second?);
    (tuple.elems.len() == 2).then(|| quote!((#first, #second)))
}

fn path(expr: &Expr) -> Option<TokenStream> {
    match without_reference(expr) {
        Expr::Path(path) => Some(quote!(#path)),
        _ => None,
    }
}

/// A slice of what `element` makes of each element; the name of a constant slice stands for itself.
fn list(expr: &Expr, element: fn(&Expr) -> Option<TokenStream>) -> Option<(TokenStream, bool)> {
    match without_reference(expr) {
        Expr::Array(array) => {
            let elements = array.elems.iter().map(element).collect::<Option<Vec<_>>>()?;
            Some((quote!(&[#(#elements),*]), !elements.is_empty()))
        }
        Expr::Path(path) => Some((quote!(#path), true)),
        _ => None,
    }
}

/// `&[…]` is as good as `[…]`.
fn without_reference(expr: &Expr) -> &Expr {
    match ungroup(expr) {
        Expr::Reference(reference) if reference.mutability.is_none() => ungroup(&reference.expr),
        other => other,
    }
}
