//! `record.schema.json` is what serde makes of the types: it is traced from them, and the file must agree.
//!
//! After a change of the types: `UPDATE_SCHEMA=1 cargo nextest run -p ktstr-sidecar -E 'binary(schema)'`.

#![allow(clippy::unwrap_used)]

use ktstr_sidecar::{SCHEMA_VERSION, SidecarRecord};
use ktstr_verdict::{CheckKind, Outcome, Verdict};
use serde_json::{Map, Value, json};
use serde_reflection::{ContainerFormat, Format, Named, Samples, Tracer, TracerConfig, VariantFormat};
use std::path::Path;

const ROOT: &str = "SidecarRecord";

/// JSON Schema of a value of this format.
fn of(format: &Format) -> Value {
    match format {
        Format::Unit => json!({"type": "null"}),
        Format::Bool => json!({"type": "boolean"}),
        Format::I8 | Format::I16 | Format::I32 | Format::I64 | Format::I128 => json!({"type": "integer"}),
        Format::U8 | Format::U16 | Format::U32 | Format::U64 | Format::U128 => json!({"type": "integer", "minimum": 0}),
        Format::F32 | Format::F64 => json!({"type": "number"}),
        Format::Str | Format::Char | Format::Bytes => json!({"type": "string"}),
        Format::Option(inner) => json!({"anyOf": [of(inner), {"type": "null"}]}),
        Format::Seq(item) | Format::TupleArray { content: item, .. } => json!({"type": "array", "items": of(item)}),
        Format::Map { value, .. } => json!({"type": "object", "additionalProperties": of(value)}),
        Format::Tuple(items) => json!({"type": "array", "prefixItems": items.iter().map(of).collect::<Vec<_>>()}),
        Format::TypeName(name) => json!({"$ref": format!("#/$defs/{name}")}),
        Format::Variable(_) => panic!("a type was not traced to its end"),
    }
}

fn object(fields: &[Named<Format>]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|f| (f.name.clone(), of(&f.value))).collect();
    json!({"type": "object", "properties": properties})
}

/// How serde_json writes a variant: its name alone, or an object with that one key.
fn variant(variant: &Named<VariantFormat>) -> Value {
    let content = match &variant.value {
        VariantFormat::Unit => return json!({"const": variant.name}),
        VariantFormat::NewType(inner) => of(inner),
        VariantFormat::Struct(fields) => object(fields),
        VariantFormat::Tuple(items) => of(&Format::Tuple(items.clone())),
        VariantFormat::Variable(_) => panic!("a variant was not traced to its end"),
    };
    json!({"type": "object", "properties": {&variant.name: content}, "required": [variant.name]})
}

fn definition(container: &ContainerFormat) -> Value {
    match container {
        ContainerFormat::UnitStruct => of(&Format::Unit),
        ContainerFormat::NewTypeStruct(inner) => of(inner),
        ContainerFormat::TupleStruct(items) => of(&Format::Tuple(items.clone())),
        ContainerFormat::Struct(fields) => object(fields),
        ContainerFormat::Enum(variants) => json!({"anyOf": variants.values().map(variant).collect::<Vec<_>>()}),
    }
}

/// The doc comment above each `pub field:` of the record's source.
fn descriptions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    for line in include_str!("../src/record.rs").lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
        } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(':')) {
            found.push((name.to_owned(), std::mem::take(&mut doc).join(" ")));
        } else if !line.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

fn schema() -> Value {
    let samples = Samples::new();
    let mut tracer = Tracer::new(TracerConfig::default());
    tracer.trace_type::<SidecarRecord>(&samples).unwrap();
    tracer.trace_type::<Outcome>(&samples).unwrap();
    tracer.trace_type::<CheckKind>(&samples).unwrap();
    let registry = tracer.registry().unwrap();
    let mut root = definition(&registry[ROOT]);
    for (name, text) in descriptions() {
        if let Some(property) = root["properties"].get_mut(&name).and_then(Value::as_object_mut) {
            property.insert("description".to_owned(), text.into());
        }
    }
    let others = registry.iter().filter(|(name, _)| *name != ROOT);
    let definitions: Map<String, Value> = others.map(|(name, c)| (name.clone(), definition(c))).collect();
    let top = root.as_object_mut().unwrap();
    top.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    top.insert("title".to_owned(), format!("Record of one run, version {SCHEMA_VERSION}").into());
    top.insert("required".to_owned(), json!(["test_name"]));
    top.insert("$defs".to_owned(), definitions.into());
    root
}

#[test]
fn the_schema_file_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("record.schema.json");
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "record.schema.json is not what the types say: see the head of this file");
}

#[test]
fn what_is_written_is_described() {
    let schema = schema();
    let record = SidecarRecord::new("a", "1n1l2c1t", "eevdf", Verdict::Pass);
    for (name, value) in serde_json::to_value(&record).unwrap().as_object().unwrap() {
        let property = &schema["properties"][name];
        assert!(property["description"].as_str().is_some_and(|d| !d.is_empty()), "{name} has no description");
        let kind = property["type"].as_str();
        let fits = match value {
            Value::Null => property["anyOf"][1]["type"] == "null",
            Value::Bool(_) => kind == Some("boolean"),
            Value::Number(_) => matches!(kind, Some("integer" | "number")),
            Value::String(_) => kind == Some("string"),
            Value::Array(_) => kind == Some("array"),
            Value::Object(_) => kind == Some("object"),
        };
        assert!(fits, "{name}: {value} is not {property}");
    }
}
