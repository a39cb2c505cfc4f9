//! A call of the API as XML. Elements of a type are a sequence: their order is part of the request.

use crate::escape::xml;
use crate::tree::Tree;

/// A reference to a managed object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moref {
    /// Its type, e.g. `VirtualMachine`.
    pub kind: String,
    /// Its id, e.g. `vm-12`.
    pub id: String,
}

impl Moref {
    /// An object of a type.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }

    /// The object that an element refers to.
    pub fn of(tree: &Tree) -> Option<Self> {
        let id = tree.text.trim();
        (!id.is_empty() && !tree.kind.is_empty()).then(|| Self::new(&tree.kind, id))
    }
}

/// A sequence of elements.
#[derive(Debug, Clone, Default)]
pub struct Elements(String);

impl Elements {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An element with a text.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.0.push_str(&format!("<{name}>{}</{name}>", xml(text)));
        self
    }

    /// A switch.
    #[must_use]
    pub fn switch(self, name: &str, on: bool) -> Self {
        self.text(name, if on { "true" } else { "false" })
    }

    /// A number.
    #[must_use]
    pub fn number(self, name: &str, number: impl Into<i128>) -> Self {
        self.text(name, &number.into().to_string())
    }

    /// A reference.
    #[must_use]
    pub fn object(mut self, name: &str, object: &Moref) -> Self {
        self.0.push_str(&format!("<{name} type=\"{}\">{}</{name}>", xml(&object.kind), xml(&object.id)));
        self
    }

    /// An element with elements in it.
    #[must_use]
    pub fn group(mut self, name: &str, inside: Self) -> Self {
        self.0.push_str(&format!("<{name}>{}</{name}>", inside.0));
        self
    }

    /// The same of a type that the server has to be told.
    #[must_use]
    pub fn typed(mut self, name: &str, kind: &str, inside: Self) -> Self {
        self.0.push_str(&format!("<{name} xsi:type=\"{}\">{}</{name}>", xml(kind), inside.0));
        self
    }

    /// A text where the API takes a value of any type.
    #[must_use]
    pub fn any_text(mut self, name: &str, text: &str) -> Self {
        self.0.push_str(&format!("<{name} xsi:type=\"xsd:string\">{}</{name}>", xml(text)));
        self
    }

    /// Several of one name.
    #[must_use]
    pub fn each<T>(self, items: impl IntoIterator<Item = T>, add: impl Fn(Self, T) -> Self) -> Self {
        items.into_iter().fold(self, add)
    }
}

/// A call.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    this: Moref,
    arguments: Elements,
}

impl Request {
    /// A method of an object.
    pub fn new(method: &'static str, this: &Moref, arguments: Elements) -> Self {
        Self { method, this: this.clone(), arguments }
    }

    /// The document that is sent.
    pub fn envelope(&self) -> String {
        let call = Elements::new().object("_this", &self.this).0 + &self.arguments.0;
        let method = self.method;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <Body><{method} xmlns=\"urn:vim25\">{call}</{method}></Body></Envelope>"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_well_formed_whatever_stands_in_it() {
        let arguments = Elements::new()
            .text("name", "a <b> & \"c\"")
            .switch("memory", false)
            .number("deviceKey", 2000)
            .object("snapshot", &Moref::new("VirtualMachineSnapshot", "s\"<1"))
            .typed(
                "spec",
                "HttpSpec",
                Elements::new().group("inner", Elements::new().each(["x", "y"], |to, item| to.text("path", item))),
            );
        let text = Request::new("CreateSnapshot_Task", &Moref::new("VirtualMachine", "vm-1"), arguments).envelope();
        let call = Tree::parse(&text, "x").unwrap();
        let call = call.find("Body.CreateSnapshot_Task").unwrap();
        let names: Vec<&str> = call.children.iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["_this", "name", "memory", "deviceKey", "snapshot", "spec"]);
        assert_eq!((call.text("name"), call.text("memory")), (Some("a <b> & \"c\""), Some("false")));
        assert_eq!(Moref::of(call.find("snapshot").unwrap()), Some(Moref::new("VirtualMachineSnapshot", "s\"<1")));
        assert_eq!(call.find("spec").unwrap().kind, "HttpSpec");
        assert_eq!(call.find("spec.inner").unwrap().all("path").count(), 2);
    }
}
