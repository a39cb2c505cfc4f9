//! Properties of objects: of one, or of all of some types, page by page.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::request::{Elements, Moref, Request};
use crate::session::{Failed, Session};
use crate::tree::Tree;

/// Objects in one answer: thousands of VMs with all their devices would be a hundred megabytes.
const PAGE: u32 = 200;

/// An object and those of its properties that were asked for and that it has.
#[derive(Debug, Clone)]
pub struct Object {
    /// The object.
    pub moref: Moref,
    properties: BTreeMap<String, Tree>,
    /// Those that the user may not read.
    pub forbidden: Vec<String>,
}

impl Object {
    /// That of an `ObjectContent`, or of an `ObjectUpdate`, which tells the same by other names.
    pub fn of(content: &Tree) -> Option<Self> {
        let moref = content.find("obj").and_then(Moref::of)?;
        let property = |set: &Tree| Some((set.text("name")?.to_owned(), set.find("val")?.clone()));
        let sets = content.children.iter().filter(|child| matches!(child.name.as_str(), "propSet" | "changeSet"));
        let is_forbidden = |set: &&Tree| set.find("fault.fault").is_some_and(|fault| fault.kind == "NoPermission");
        let forbidden = content.all("missingSet").filter(is_forbidden).filter_map(|set| set.text("path"));
        Some(Self {
            moref,
            properties: sets.filter_map(property).collect(),
            forbidden: forbidden.map(str::to_owned).collect(),
        })
    }

    /// A property by the path that it was asked for by.
    pub fn get(&self, path: &str) -> Option<&Tree> {
        self.properties.get(path)
    }

    /// Its text.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path).map(|value| value.text.trim()).filter(|text| !text.is_empty())
    }

    /// Its number.
    pub fn number<N: std::str::FromStr>(&self, path: &str) -> Option<N> {
        self.text(path)?.parse().ok()
    }

    /// Whether it is on.
    pub fn is_on(&self, path: &str) -> Option<bool> {
        self.text(path).map(|text| text == "true" || text == "1")
    }
}

/// Properties of one object.
pub fn read(session: &Session, object: &Moref, paths: &[&str], what: &str) -> Result<Object> {
    try_read(session, object, paths).map_err(|failed| session.error(failed, what))
}

/// The same for whoever makes something of a fault.
pub fn try_read(session: &Session, object: &Moref, paths: &[&str]) -> Result<Object, Failed> {
    let target = Elements::new().object("obj", object).switch("skip", false);
    let collector = session.service("propertyCollector").map_err(Failed::Unheard)?;
    let answer = session.try_ask(&request(&collector, &[(&object.kind, paths)], target))?;
    let found = answer.find("returnval").and_then(|page| page.all("objects").find_map(Object::of));
    found.ok_or_else(|| {
        let none = format!("{} tells nothing of {} {}", session.server(), object.kind, escape(&object.id));
        Failed::Unheard(PluginError::unusable(none).hint("`vmdk2kvm inventory` lists what is there"))
    })
}

/// Properties of all objects of some types, each given to `take`.
pub fn read_all(
    session: &Session,
    types: &[(&str, &[&str])],
    what: &str,
    take: &mut dyn FnMut(Object) -> Result<()>,
) -> Result<()> {
    let arguments = Elements::new()
        .object("container", &session.service("rootFolder")?)
        .each(types, |to, (kind, _)| to.text("type", kind))
        .switch("recursive", true);
    let made = session.ask(&Request::new("CreateContainerView", &session.service("viewManager")?, arguments), what)?;
    let view = made.find("returnval").and_then(Moref::of);
    let view = view.ok_or_else(|| PluginError::unusable(format!("{what}: {} gives no view", session.server())))?;
    let step = Elements::new().text("type", "ContainerView").text("path", "view").switch("skip", false);
    let target = Elements::new().object("obj", &view).switch("skip", true).typed("selectSet", "TraversalSpec", step);
    let done = retrieve(session, types, target, what, take);
    // It ends with the session at the latest.
    let _ = session.order(&Request::new("DestroyView", &view, Elements::new()));
    done
}

fn request(collector: &Moref, types: &[(&str, &[&str])], target: Elements) -> Request {
    let wanted = Elements::new().each(types, |to, (kind, paths)| {
        let one = Elements::new().text("type", kind).switch("all", false);
        to.group("propSet", one.each(*paths, |to, path| to.text("pathSet", path)))
    });
    let wanted = wanted.group("objectSet", target);
    let options = Elements::new().number("maxObjects", PAGE);
    Request::new("RetrievePropertiesEx", collector, Elements::new().group("specSet", wanted).group("options", options))
}

fn retrieve(
    session: &Session,
    types: &[(&str, &[&str])],
    target: Elements,
    what: &str,
    take: &mut dyn FnMut(Object) -> Result<()>,
) -> Result<()> {
    let collector = session.service("propertyCollector")?;
    let mut request = request(&collector, types, target);
    loop {
        let answer = session.ask(&request, what)?;
        // Without anything to tell there is no value at all.
        let Some(page) = answer.find("returnval") else { return Ok(()) };
        for object in page.all("objects").filter_map(Object::of) {
            take(object)?;
        }
        let Some(token) = page.text("token") else { return Ok(()) };
        request = Request::new("ContinueRetrievePropertiesEx", &collector, Elements::new().text("token", token));
    }
}
