//! The gate of the Rust interface: `tests/rust-api.txt` records every public item of this crate, and a change of one fails
//! here, by its name. A release of the crate that removes or changes a line breaks the sources of vendors, so that its version
//! has to say so; a line more breaks none. Their binaries depend on the frozen types alone, which `surface.rs` records.
//!
//! `JACKFIELD_BLESS=1 cargo test -p jackfield-plugin-api --test rust_api` writes the record anew.
#![allow(clippy::disallowed_methods, reason = "a test reads the files that it judges")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use quote::{ToTokens, quote};
use syn::{Attribute, ImplItem, Item, TraitItem, UseTree, Visibility};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The modules of the crate by their paths, such as `deletion::abi`; the root is the empty one.
type Modules = BTreeMap<String, Vec<Item>>;

fn read_modules(file: &Path, folder: &Path, path: &str, modules: &mut Modules) {
    let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let items = syn::parse_file(&source).expect("Rust").items;
    for item in &items {
        let Item::Mod(module) = item else { continue };
        if module.content.is_some() || is_hidden(&module.attrs) {
            continue;
        }
        let name = module.ident.to_string();
        let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs"));
        let file: PathBuf = if flat.exists() { flat } else { nested };
        read_modules(&file, &folder.join(&name), &join(path, &name), modules);
    }
    modules.insert(path.to_owned(), items);
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
}

/// Whether an item is of no user's concern: of tests, or hidden from the documentation, as what only macros call is.
fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string();
        text.contains("hidden") && text.starts_with("# [doc") || text.starts_with("# [cfg (test")
    })
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The attributes that a user's code depends on.
fn told(attributes: &[Attribute]) -> Vec<Attribute> {
    let names = ["derive", "non_exhaustive", "repr", "must_use", "deprecated", "macro_export"];
    let is_told = |it: &&Attribute| names.iter().any(|name| it.path().is_ident(name));
    attributes.iter().filter(is_told).cloned().map(without_reason).collect()
}

/// `must_use` without its text.
fn without_reason(mut attribute: Attribute) -> Attribute {
    if attribute.path().is_ident("must_use") {
        attribute.meta = syn::Meta::Path(attribute.path().clone());
    }
    attribute
}

/// The public items by their paths, each in one line without bodies, private fields and comments.
#[derive(Default)]
struct Record {
    lines: BTreeSet<String>,
    /// The names of the types and traits among them.
    types: BTreeSet<String>,
}

impl Record {
    fn line(&mut self, path: &str, tokens: impl ToTokens) {
        let text = tokens.to_token_stream().to_string();
        self.lines.insert(format!("{path}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }

    /// The public items of a module, and what it takes over from others.
    fn module(&mut self, modules: &Modules, path: &str) {
        for item in &modules[path] {
            match item {
                Item::Mod(module) if is_public(&module.vis) && !is_hidden(&module.attrs) => {
                    let inner = join(path, &module.ident.to_string());
                    self.lines.insert(format!("{inner}: mod"));
                    self.module(modules, &inner);
                }
                Item::Use(reexport) if is_public(&reexport.vis) && !is_hidden(&reexport.attrs) => {
                    self.reexport(modules, path, &reexport.tree, "");
                }
                item => self.item(path, item, None),
            }
        }
    }

    fn reexport(&mut self, modules: &Modules, path: &str, tree: &UseTree, from: &str) {
        match tree {
            UseTree::Path(step) if step.ident == "crate" => self.reexport(modules, path, &step.tree, from),
            UseTree::Path(step) if step.ident == "self" => self.reexport(modules, path, &step.tree, path),
            UseTree::Path(step) => {
                self.reexport(modules, path, &step.tree, &join(from, &step.ident.to_string()));
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.reexport(modules, path, tree, from);
                }
            }
            UseTree::Name(name) => match modules.get(from) {
                Some(items) => {
                    items.iter().for_each(|item| self.item(path, item, Some(&name.ident.to_string())));
                }
                None => self.line(&join(path, &name.ident.to_string()), quote!(pub use #tree)),
            },
            UseTree::Rename(_) | UseTree::Glob(_) => self.line(path, quote!(pub use #tree)),
        }
    }

    /// The item if it is public and, unless `only` is `None`, has this name.
    fn item(&mut self, path: &str, item: &Item, only: Option<&str>) {
        let (visibility, attributes, name) = match item {
            Item::Const(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            Item::Enum(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            Item::Fn(it) => (&it.vis, &it.attrs, it.sig.ident.to_string()),
            Item::Static(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            Item::Struct(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            Item::Trait(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            Item::Type(it) => (&it.vis, &it.attrs, it.ident.to_string()),
            Item::Macro(it) => {
                // A macro that is exported is one of the root.
                if let Some(name) = &it.ident
                    && it.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
                    && !is_hidden(&it.attrs)
                {
                    self.lines.insert(format!("{name}!: macro"));
                }
                return;
            }
            _ => return,
        };
        if !is_public(visibility) || is_hidden(attributes) || only.is_some_and(|only| only != name) {
            return;
        }
        let (path, told) = (join(path, &name), told(attributes));
        match item {
            Item::Const(it) => {
                let ty = &it.ty;
                self.line(&path, quote!(#(#told)* const #ty));
            }
            Item::Static(it) => {
                let ty = &it.ty;
                self.line(&path, quote!(#(#told)* static #ty));
            }
            Item::Fn(it) => {
                let signature = &it.sig;
                self.line(&path, quote!(#(#told)* #signature));
            }
            Item::Type(it) => {
                let (generics, ty) = (&it.generics, &it.ty);
                self.line(&path, quote!(#(#told)* type #generics = #ty));
            }
            Item::Struct(it) => {
                self.types.insert(name);
                let generics = &it.generics;
                self.line(&path, quote!(#(#told)* struct #generics));
                for (at, field) in it.fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
                    let ty = &field.ty;
                    let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
                    self.line(&format!("{path}.{name}"), ty);
                }
            }
            Item::Enum(it) => {
                self.types.insert(name);
                let generics = &it.generics;
                self.line(&path, quote!(#(#told)* enum #generics));
                for variant in &it.variants {
                    let fields = variant.fields.iter().map(|field| {
                        let (name, ty) = (field.ident.iter(), &field.ty);
                        quote!(#(#name:)* #ty)
                    });
                    self.line(&format!("{path}::{}", variant.ident), quote!(#(#fields),*));
                }
            }
            Item::Trait(it) => {
                self.types.insert(name);
                let (generics, bounds) = (&it.generics, &it.supertraits);
                self.line(&path, quote!(#(#told)* trait #generics : #bounds));
                for item in &it.items {
                    match item {
                        TraitItem::Fn(it) if !is_hidden(&it.attrs) => {
                            let (signature, has) = (&it.sig, it.default.as_ref().map(|_| quote!(= default)));
                            self.line(&format!("{path}::{}", it.sig.ident), quote!(#signature #has));
                        }
                        TraitItem::Type(it) => {
                            let (bounds, has) = (&it.bounds, it.default.as_ref().map(|_| quote!(= default)));
                            self.line(&format!("{path}::{}", it.ident), quote!(type : #bounds #has));
                        }
                        TraitItem::Const(it) => {
                            let (ty, has) = (&it.ty, it.default.as_ref().map(|_| quote!(= default)));
                            self.line(&format!("{path}::{}", it.ident), quote!(const #ty #has));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// What is implemented for the public types.
    fn implementations(&mut self, modules: &Modules) {
        for item in modules.values().flatten() {
            let Item::Impl(it) = item else { continue };
            let syn::Type::Path(ty) = &*it.self_ty else { continue };
            let name = ty.path.segments.last().expect("a type has a name").ident.to_string();
            if is_hidden(&it.attrs) || !self.types.contains(&name) {
                continue;
            }
            let (generics, ty) = (&it.generics, &it.self_ty);
            if let Some((not, of, _)) = &it.trait_ {
                let (safety, bounds) = (&it.unsafety, &generics.where_clause);
                self.line(&name, quote!(#safety impl #generics #not #of for #ty #bounds));
                continue;
            }
            for item in &it.items {
                match item {
                    ImplItem::Fn(it) if is_public(&it.vis) && !is_hidden(&it.attrs) => {
                        let (told, signature) = (told(&it.attrs), &it.sig);
                        let line = quote!(impl #generics #ty { #(#told)* #signature });
                        self.line(&format!("{name}::{}", it.sig.ident), line);
                    }
                    ImplItem::Const(it) if is_public(&it.vis) && !is_hidden(&it.attrs) => {
                        let (constant, of) = (&it.ident, &it.ty);
                        self.line(&format!("{name}::{constant}"), quote!(const #of));
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn the_public_items_are_those_of_the_record() {
    let mut modules = Modules::new();
    read_modules(&root().join("src/lib.rs"), &root().join("src"), "", &mut modules);
    let mut record = Record::default();
    record.module(&modules, "");
    record.implementations(&modules);
    for known in ["Backend::send", "Call::is_cancelled", "Outcome::Delivered", "export!", "abi::Event.json"] {
        assert!(
            record.lines.iter().any(|line| line.starts_with(&format!("{known}:"))),
            "{known} is not found"
        );
    }

    let file = root().join("tests/rust-api.txt");
    if std::env::var_os("JACKFIELD_BLESS").is_some() {
        let text: String = record.lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&file, text).expect("writable");
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    let recorded: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let gone: Vec<_> = recorded.difference(&record.lines).collect();
    let new: Vec<_> = record.lines.difference(&recorded).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "the public interface has changed; JACKFIELD_BLESS=1 records it.\nbreaks the sources of vendors, so the crate's version \
         has to say it: {gone:#?}\nnew: {new:#?}"
    );
}
