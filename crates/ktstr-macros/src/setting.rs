//! `name`, `name = value`: the one syntax of both macros.

use std::collections::HashSet;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, Ident, Result, Token};

/// One `name` or `name = value`.
#[derive(Clone)]
pub struct Setting {
    /// What is set.
    pub name: Ident,
    /// The value after `=`, `None` when the name stands alone.
    pub value: Option<Expr>,
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.call(Ident::parse_any)?;
        let value = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse()?)
        } else if input.is_empty() || input.peek(Token![,]) {
            None
        } else {
            let what = format!("expected `,` or `= value` after `{name}`: write `{name} = value`");
            return Err(input.error(what));
        };
        Ok(Self { name, value })
    }
}

/// A comma-separated list of settings; a comma at the end is fine.
#[derive(Clone, Default)]
pub struct Settings(pub Vec<Setting>);

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let list = Punctuated::<Setting, Token![,]>::parse_terminated(input)?;
        Ok(Self(list.into_iter().collect()))
    }
}

impl Settings {
    /// Every unknown or repeated name, each with the list of `known` ones; `what` says what the names are.
    pub fn check_names(&self, what: &str, known: &[&str]) -> Problems {
        let mut problems = Problems::default();
        let mut seen = HashSet::new();
        for Setting { name, .. } in &self.0 {
            let text = name.unraw().to_string();
            if !known.contains(&text.as_str()) {
                let list = known.join(", ");
                problems.add(Error::new(name.span(), format!("unknown {what} `{text}`; known: {list}")));
            } else if !seen.insert(text.clone()) {
                let list = known.join(", ");
                let message = format!("{what} `{text}` is given twice: keep one; known: {list}");
                problems.add(Error::new(name.span(), message));
            }
        }
        problems
    }

    /// The first setting of that name.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|s| s.name == name)
    }
}

/// All mistakes of one invocation, so that the compiler shows them together.
#[derive(Default)]
pub struct Problems(Option<Error>);

impl Problems {
    /// Remembers one more.
    pub fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or `None` with its mistake remembered.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|e| self.add(e)).ok()
    }

    /// `Ok` when there were none.
    pub fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// The value of a setting that cannot stand alone.
pub fn value_of<'a>(setting: &'a Setting, example: &str) -> Result<&'a Expr> {
    setting.value.as_ref().ok_or_else(|| {
        let name = &setting.name;
        Error::new(name.span(), format!("`{name}` needs a value: write `{name} = {example}`"))
    })
}

/// "`name` expects …" at the value.
pub fn wrong_value(setting: &Setting, at: &Expr, expected: &str) -> Error {
    Error::new(at.span(), format!("`{}` expects {expected}", setting.name))
}
