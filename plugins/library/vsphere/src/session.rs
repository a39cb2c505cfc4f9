//! A login at a server, and the calls that it allows. One that is dropped logs out.
//!
//! A session that died is begun anew, once for a call. A call that only asks is repeated while the server has too much to do; one that makes something
//! never is: whoever made it has to look first whether it was made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::door::Door;
use crate::fault::Fault;
use crate::request::{Elements, Moref, Request};
use crate::tree::Tree;
use crate::trust::Trust;

/// The cookie of a session, whose value is sent back as it came, quotes included.
pub const COOKIE_NAME: &str = "vmware_soap_session";
/// The longest answer, in bytes.
const LIMIT: u64 = 256 << 20;
/// How often a question is asked of a server that has too much to do.
const ATTEMPTS: u32 = 5;

/// A user and the password.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// What another plugin needs to go on with a session. A secret.
#[derive(Serialize, Deserialize)]
struct Lent {
    server: String,
    trust: Trust,
    login: Login,
    cookie: String,
}

/// What went wrong with a call.
#[derive(Debug)]
pub enum Failed {
    /// The server refused it.
    Fault(Fault),
    /// It may or may not have been heard.
    Unheard(PluginError),
}

impl Failed {
    /// The error of `what` at `server`.
    pub fn error(self, what: &str, server: &str) -> PluginError {
        match self {
            Self::Fault(fault) => fault.error(what, server),
            // Whom nobody believes was asked nothing.
            Self::Unheard(error) if error.kind == ErrorKind::Auth => error,
            Self::Unheard(error) => error.context(what),
        }
    }
}

/// A session.
pub struct Session {
    door: Door,
    login: Login,
    content: Tree,
    version: String,
    cookie: Mutex<String>,
    /// It logged in itself, and has to log out.
    own: Mutex<bool>,
}

impl Session {
    /// Logs in.
    pub fn begin(door: Door, login: Login) -> Result<Self> {
        let session = Self::meet(door, login)?;
        session.log_in()?;
        Ok(session)
    }

    /// Asks the server what it is, which is when its certificate is believed or not. Nobody is logged in yet.
    pub fn meet(door: Door, login: Login) -> Result<Self> {
        let mut session = Self {
            door,
            login,
            content: Tree::default(),
            // The oldest that is spoken anywhere: until it is known which one is.
            version: "6.0".to_owned(),
            cookie: Mutex::default(),
            own: Mutex::new(false),
        };
        let content =
            Request::new("RetrieveServiceContent", &Moref::new("ServiceInstance", "ServiceInstance"), Elements::new());
        let answer = session.ask(&content, "asking what it is")?;
        session.content = answer.find("returnval").cloned().unwrap_or_default();
        if let Some(version) = session
            .content
            .text("about.apiVersion")
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        {
            session.version = version.to_owned();
        }
        Ok(session)
    }

    /// Goes on with a session that another plugin lent.
    pub fn borrow(lent: &[u8]) -> Result<Self> {
        let lent: Lent =
            serde_json::from_slice(lent).map_err(|_| PluginError::defect("the lent session is not a session"))?;
        let session = Self::meet(Door::new(&lent.server, lent.trust)?, lent.login)?;
        session.take_over(lent.cookie);
        Ok(session)
    }

    /// Goes on with a login that somebody else made and ends, by its cookie as it is sent.
    pub fn take_over(&self, cookie: String) {
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = cookie;
    }

    /// What another plugin needs to go on with it. A secret.
    pub fn lend(&self) -> Result<Vec<u8>> {
        let lent = Lent {
            server: self.door.server().to_owned(),
            trust: self.door.trust().clone(),
            login: self.login.clone(),
            cookie: self.cookie(),
        };
        serde_json::to_vec(&lent).map_err(|error| PluginError::defect(format!("a session cannot be lent: {error}")))
    }

    /// The door that it goes through.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Host and port, for messages.
    pub fn server(&self) -> &str {
        self.door.server()
    }

    /// Whether the server is a vCenter, and no host.
    pub fn is_vcenter(&self) -> bool {
        self.content.text("about.apiType") == Some("VirtualCenter")
    }

    /// Name and version of the server's product.
    pub fn product(&self) -> &str {
        self.content.text("about.fullName").unwrap_or("a server without a name")
    }

    /// The version of the server's product: `8.0.3`; empty where it says none.
    pub fn version(&self) -> &str {
        self.content.text("about.version").unwrap_or_default()
    }

    /// As whom it is logged in.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// A service of the server by its name in the API, e.g. `searchIndex`: their ids differ between a vCenter and a host.
    pub fn service(&self, name: &str) -> Result<Moref> {
        self.content.find(name).and_then(Moref::of).ok_or_else(|| {
            PluginError::unusable(format!("{} has no {name}", self.server()))
                .hint("make sure that the address is that of a vCenter or an ESXi host")
        })
    }

    /// The cookie as it is sent.
    pub fn cookie(&self) -> String {
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs in again, unless somebody else did since `dead` was the cookie.
    pub fn renew(&self, dead: &str) -> Result<()> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if self.cookie() == dead {
            self.log_in_as(&mut own)?;
        }
        Ok(())
    }

    fn log_in(&self) -> Result<()> {
        self.log_in_as(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn log_in_as(&self, own: &mut bool) -> Result<()> {
        let arguments = Elements::new().text("userName", &self.login.user).text("password", &self.login.password);
        let login = Request::new("Login", &self.service("sessionManager")?, arguments);
        let what = format!("logging in as {}", escape(&self.login.user));
        if *own {
            // It may live, whatever was answered: then it would stay.
            self.log_out();
        }
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = String::new();
        self.once(&login).map_err(|failed| self.error(failed, &what))?;
        if self.cookie().is_empty() {
            return Err(PluginError::unusable(format!("{what}: {} gives no session", self.server())));
        }
        *own = true;
        Ok(())
    }

    /// Ends the session. One that is dead already is ended.
    fn log_out(&self) {
        if let Ok(manager) = self.service("sessionManager") {
            let _ = self.once(&Request::new("Logout", &manager, Elements::new()));
        }
    }

    /// Asks a question, which changes nothing, until it is answered.
    pub fn ask(&self, request: &Request, what: &str) -> Result<Tree> {
        self.try_ask(request).map_err(|failed| self.error(failed, what))
    }

    /// The same for whoever makes something of a fault.
    pub fn try_ask(&self, request: &Request) -> Result<Tree, Failed> {
        let mut attempt = 1;
        loop {
            match self.order(request) {
                Err(Failed::Unheard(error))
                    if attempt < ATTEMPTS && matches!(error.kind, ErrorKind::Temporary | ErrorKind::Io) =>
                {
                    std::thread::sleep(Duration::from_millis(200 << attempt));
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Calls a method that changes something: once, or twice when the server says that nobody was logged in.
    pub fn order(&self, request: &Request) -> Result<Tree, Failed> {
        let cookie = self.cookie();
        match self.once(request) {
            Err(Failed::Fault(fault)) if fault.is_not_authenticated() && !self.login.password.is_empty() => {
                self.renew(&cookie).map_err(Failed::Unheard)?;
                self.once(request)
            }
            answer => answer,
        }
    }

    /// The error of `what`.
    pub fn error(&self, failed: Failed, what: &str) -> PluginError {
        failed.error(what, self.server())
    }

    fn once(&self, request: &Request) -> Result<Tree, Failed> {
        let mut post = self
            .door
            .request(Method::POST, "/sdk")
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", format!("\"urn:vim25/{}\"", self.version))
            .body(request.envelope());
        let cookie = self.cookie();
        if !cookie.is_empty() {
            post = post.header(COOKIE, cookie);
        }
        let answer = self.door.send(post).map_err(Failed::Unheard)?;
        let status = answer.status();
        // A fault has 500; what is in between server and client has its own words.
        if !status.is_success() && status.as_u16() != 500 {
            let kind = if matches!(status.as_u16(), 429 | 502..=504) { ErrorKind::Temporary } else { ErrorKind::Io };
            let error = PluginError::new(kind, format!("{} answers with HTTP {status}", self.server()));
            return Err(Failed::Unheard(
                error.hint("run the same command again; a proxy in between may be the one that answers"),
            ));
        }
        let cookies = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
        let given =
            cookies.filter_map(|text| text.split(';').next()).find(|pair| pair.starts_with(&format!("{COOKIE_NAME}=")));
        let given = given.map(str::to_owned);
        let text = self.door.text(answer, LIMIT).map_err(Failed::Unheard)?;
        let tree = Tree::parse(&text, self.server()).map_err(Failed::Unheard)?;
        if let Some(fault) = Fault::of_answer(&tree) {
            return Err(Failed::Fault(fault));
        }
        if let Some(cookie) = given.filter(|_| request.method == "Login") {
            *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = cookie;
        }
        let body = tree.children.into_iter().find(|child| child.name == "Body");
        let body = body.and_then(|body| body.children.into_iter().next());
        body.ok_or_else(|| Failed::Unheard(PluginError::unusable(format!("{}: an answer is empty", self.server()))))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if *self.own.lock().unwrap_or_else(PoisonError::into_inner) {
            self.log_out();
        }
    }
}
