//! The six stages and the plugin itself, in both directions.

use std::sync::Arc;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{ROption, RStr, RString, RVec};

use super::calls::enter;
use super::consume::{Remote, guest_from_abi, read, source_from_abi};
use super::provide::{Guarded, guard, guest_to_abi, lend_guest, source_to_abi};
use super::traits::{
    AbiFlat, AbiOpened, CatalogAbi, CatalogAbi_TO, CatalogObj, ConverterAbi, ConverterAbi_TO, ConverterObj, FetcherAbi,
    FetcherAbi_TO, FetcherObj, FixerAbi, FixerAbi_TO, FixerObj, FlattenerAbi, FlattenerAbi_TO, FlattenerObj, GuestObj,
    InspectorAbi, InspectorAbi_TO, InspectorObj, PluginAbi, PluginAbi_TO, PluginObj, TesterAbi, TesterAbi_TO,
    TesterObj, TransportAbi, TransportAbi_TO, TransportObj,
};
use super::types::{AbiResult, given, to_json};
use crate::model::{
    CommitOverlay, Convert, CreateOverlay, FixerPlan, FlattenDisk, OpenGuest, OsFamily, PlanContext, SourceRef,
    TestRequest, Verdict, VmSpec,
};
use crate::{
    BlockSource, Catalog, Converter, Fetcher, Fixer, Flat, Flattener, Guest, Inspector, Opened, Plugin, Result, Tester,
    Transport,
};

// FETCH

impl FetcherAbi for Guarded<Box<dyn Fetcher>> {
    fn accepts(&self, source: RStr<'_>) -> AbiResult<u32> {
        guard("Fetcher::accepts", || self.0.accepts(&given(source)?))
    }
    fn catalog(&self, source: RStr<'_>) -> AbiResult<ROption<CatalogObj>> {
        guard("Fetcher::catalog", || {
            let catalog = self.0.catalog(&given(source)?)?;
            Ok(catalog.map(|catalog| CatalogAbi_TO::from_value(Guarded(catalog), TD_Opaque)).into())
        })
    }
    fn transport(&self, source: RStr<'_>) -> AbiResult<ROption<TransportObj>> {
        guard("Fetcher::transport", || {
            let transport = self.0.transport(&given(source)?)?;
            Ok(transport.map(|transport| transport_to_abi(Arc::from(transport))).into())
        })
    }
}

impl Fetcher for Remote<FetcherObj> {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        let _call = enter(self.label, "Fetcher::accepts");
        self.take(self.object.accepts(to_json(source)?.as_rstr()))
    }
    fn catalog(&self, source: &SourceRef) -> Result<Option<Box<dyn Catalog>>> {
        let _call = enter(self.label, "Fetcher::catalog");
        let catalog = self.take(self.object.catalog(to_json(source)?.as_rstr()))?.into_option();
        Ok(catalog.map(|catalog| Box::new(Remote::new(catalog, self.label)) as Box<dyn Catalog>))
    }
    fn transport(&self, source: &SourceRef) -> Result<Option<Box<dyn Transport>>> {
        let _call = enter(self.label, "Fetcher::transport");
        let transport = self.take(self.object.transport(to_json(source)?.as_rstr()))?.into_option();
        Ok(transport.map(|transport| Box::new(Remote::new(transport, self.label)) as Box<dyn Transport>))
    }
}

impl CatalogAbi for Guarded<Box<dyn Catalog>> {
    fn inventory(&self) -> AbiResult<RString> {
        guard("Catalog::inventory", || to_json(&self.0.inventory()?))
    }
    fn describe(&self) -> AbiResult<RString> {
        guard("Catalog::describe", || to_json(&self.0.describe()?))
    }
}

impl Catalog for Remote<CatalogObj> {
    fn inventory(&self) -> Result<Vec<VmSpec>> {
        let _call = enter(self.label, "Catalog::inventory");
        self.document(self.object.inventory())
    }
    fn describe(&self) -> Result<VmSpec> {
        let _call = enter(self.label, "Catalog::describe");
        self.document(self.object.describe())
    }
}

impl TransportAbi for Guarded<Arc<dyn Transport>> {
    fn open(&self, object: RStr<'_>) -> AbiResult<super::traits::BlockSourceObj> {
        guard("Transport::open", || Ok(source_to_abi(Arc::from(self.0.open(object.as_str())?))))
    }
    fn resolve(&self, from: RStr<'_>, name: RStr<'_>) -> AbiResult<RString> {
        guard("Transport::resolve", || self.0.resolve(from.as_str(), name.as_str()).map(RString::from))
    }
    fn fingerprint(&self, object: RStr<'_>) -> AbiResult<RString> {
        guard("Transport::fingerprint", || self.0.fingerprint(object.as_str()).map(RString::from))
    }
    fn verify(&self, object: RStr<'_>) -> AbiResult<bool> {
        guard("Transport::verify", || self.0.verify(object.as_str()))
    }
}

fn transport_to_abi(transport: Arc<dyn Transport>) -> TransportObj {
    TransportAbi_TO::from_value(Guarded(transport), TD_Opaque)
}

impl Transport for Remote<TransportObj> {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        let _call = enter(self.label, "Transport::open");
        Ok(source_from_abi(self.take(self.object.open(RStr::from_str(object)))?, self.label))
    }
    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let _call = enter(self.label, "Transport::resolve");
        self.take(self.object.resolve(RStr::from_str(from), RStr::from_str(name))).map(String::from)
    }
    fn fingerprint(&self, object: &str) -> Result<String> {
        let _call = enter(self.label, "Transport::fingerprint");
        self.take(self.object.fingerprint(RStr::from_str(object))).map(String::from)
    }
    fn verify(&self, object: &str) -> Result<bool> {
        let _call = enter(self.label, "Transport::verify");
        self.take(self.object.verify(RStr::from_str(object)))
    }
}

// FLATTEN

impl FlattenerAbi for Guarded<Box<dyn Flattener>> {
    fn formats(&self) -> AbiResult<RString> {
        guard("Flattener::formats", || to_json(&self.0.formats()))
    }
    fn flatten(&self, disk: RStr<'_>, files: TransportObj) -> AbiResult<AbiFlat> {
        guard("Flattener::flatten", || {
            let files: Arc<dyn Transport> = Arc::new(Remote::new(files, "host"));
            let flat = self.0.flatten(&given::<FlattenDisk>(disk)?, files)?;
            Ok(AbiFlat { report: to_json(&flat.report)?, source: source_to_abi(Arc::from(flat.source)) })
        })
    }
}

/// A flattener; its formats do not change and were asked once.
pub(super) struct RemoteFlattener {
    remote: Remote<FlattenerObj>,
    formats: Vec<String>,
}

impl RemoteFlattener {
    pub(super) fn new(remote: Remote<FlattenerObj>) -> Result<Self> {
        let _call = enter(remote.label, "Flattener::formats");
        let formats = remote.document(remote.object.formats())?;
        Ok(Self { remote, formats })
    }
}

impl Flattener for RemoteFlattener {
    fn formats(&self) -> Vec<String> {
        self.formats.clone()
    }
    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        let Remote { object, label } = &self.remote;
        let _call = enter(label, "Flattener::flatten");
        let flat = self.remote.take(object.flatten(to_json(disk)?.as_rstr(), transport_to_abi(files)))?;
        Ok(Flat { report: read(&flat.report, label)?, source: source_from_abi(flat.source, label) })
    }
}

// INSPECT

impl InspectorAbi for Guarded<Box<dyn Inspector>> {
    fn accepts(&self, request: RStr<'_>) -> AbiResult<u32> {
        guard("Inspector::accepts", || self.0.accepts(&given::<OpenGuest>(request)?))
    }
    fn open(&self, request: RStr<'_>) -> AbiResult<AbiOpened> {
        guard("Inspector::open", || {
            let opened = self.0.open(&given::<OpenGuest>(request)?)?;
            Ok(AbiOpened { inspection: to_json(&opened.inspection)?, guest: guest_to_abi(opened.guest) })
        })
    }
}

impl Inspector for Remote<InspectorObj> {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        let _call = enter(self.label, "Inspector::accepts");
        self.take(self.object.accepts(to_json(request)?.as_rstr()))
    }
    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let _call = enter(self.label, "Inspector::open");
        let opened = self.take(self.object.open(to_json(request)?.as_rstr()))?;
        Ok(Opened {
            inspection: read(&opened.inspection, self.label)?,
            guest: guest_from_abi(opened.guest, self.label),
        })
    }
}

// PLAN

impl FixerAbi for Guarded<Box<dyn Fixer>> {
    fn name(&self) -> AbiResult<RString> {
        guard("Fixer::name", || Ok(self.0.name().into()))
    }
    fn guests(&self) -> AbiResult<RString> {
        guard("Fixer::guests", || to_json(&self.0.guests()))
    }
    fn order(&self) -> AbiResult<u32> {
        guard("Fixer::order", || Ok(self.0.order()))
    }
    fn live(&self) -> AbiResult<bool> {
        guard("Fixer::live", || Ok(self.0.live()))
    }
    fn plan(&self, context: RStr<'_>, guest: GuestObj<'_>) -> AbiResult<RString> {
        guard("Fixer::plan", || {
            let guest = Remote::new(guest, "host");
            to_json(&self.0.plan(&given::<PlanContext>(context)?, &guest)?)
        })
    }
}

/// A fixer; what it says of itself does not change and was asked once.
pub(super) struct RemoteFixer {
    remote: Remote<FixerObj>,
    name: String,
    guests: Vec<OsFamily>,
    order: u32,
    live: bool,
}

impl RemoteFixer {
    pub(super) fn new(remote: Remote<FixerObj>) -> Result<Self> {
        let name = {
            let _call = enter(remote.label, "Fixer::name");
            remote.take(remote.object.name())?.into_string()
        };
        let guests = {
            let _call = enter(remote.label, "Fixer::guests");
            remote.document(remote.object.guests())?
        };
        let order = {
            let _call = enter(remote.label, "Fixer::order");
            remote.take(remote.object.order())?
        };
        let live = {
            let _call = enter(remote.label, "Fixer::live");
            remote.take(remote.object.live())?
        };
        Ok(Self { remote, name, guests, order, live })
    }
}

impl Fixer for RemoteFixer {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn guests(&self) -> Vec<OsFamily> {
        self.guests.clone()
    }
    fn order(&self) -> u32 {
        self.order
    }
    fn live(&self) -> bool {
        self.live
    }
    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let Remote { object, label } = &self.remote;
        let _call = enter(label, "Fixer::plan");
        self.remote.document(object.plan(to_json(context)?.as_rstr(), lend_guest(guest)))
    }
}

// CONVERT

impl ConverterAbi for Guarded<Box<dyn Converter>> {
    fn formats(&self) -> AbiResult<RString> {
        guard("Converter::formats", || to_json(&self.0.formats()))
    }
    fn create_overlay(&self, request: RStr<'_>) -> AbiResult<()> {
        guard("Converter::create_overlay", || self.0.create_overlay(&given::<CreateOverlay>(request)?))
    }
    fn commit_overlay(&self, request: RStr<'_>) -> AbiResult<()> {
        guard("Converter::commit_overlay", || self.0.commit_overlay(&given::<CommitOverlay>(request)?))
    }
    fn convert(&self, request: RStr<'_>) -> AbiResult<()> {
        guard("Converter::convert", || self.0.convert(&given::<Convert>(request)?))
    }
}

/// A converter; its formats do not change and were asked once.
pub(super) struct RemoteConverter {
    remote: Remote<ConverterObj>,
    formats: Vec<String>,
}

impl RemoteConverter {
    pub(super) fn new(remote: Remote<ConverterObj>) -> Result<Self> {
        let _call = enter(remote.label, "Converter::formats");
        let formats = remote.document(remote.object.formats())?;
        Ok(Self { remote, formats })
    }
}

impl Converter for RemoteConverter {
    fn formats(&self) -> Vec<String> {
        self.formats.clone()
    }
    fn create_overlay(&self, request: &CreateOverlay) -> Result<()> {
        let _call = enter(self.remote.label, "Converter::create_overlay");
        self.remote.take(self.remote.object.create_overlay(to_json(request)?.as_rstr()))
    }
    fn commit_overlay(&self, request: &CommitOverlay) -> Result<()> {
        let _call = enter(self.remote.label, "Converter::commit_overlay");
        self.remote.take(self.remote.object.commit_overlay(to_json(request)?.as_rstr()))
    }
    fn convert(&self, request: &Convert) -> Result<()> {
        let _call = enter(self.remote.label, "Converter::convert");
        self.remote.take(self.remote.object.convert(to_json(request)?.as_rstr()))
    }
}

// TEST

impl TesterAbi for Guarded<Box<dyn Tester>> {
    fn test(&self, request: RStr<'_>) -> AbiResult<RString> {
        guard("Tester::test", || to_json(&self.0.test(&given::<TestRequest>(request)?)?))
    }
}

impl Tester for Remote<TesterObj> {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        let _call = enter(self.label, "Tester::test");
        self.document(self.object.test(to_json(request)?.as_rstr()))
    }
}

// The plugin

impl<P: Plugin> PluginAbi for Guarded<P> {
    fn fetcher(&self) -> AbiResult<ROption<FetcherObj>> {
        guard("Plugin::fetcher", || {
            Ok(self.0.fetcher().map(|stage| FetcherAbi_TO::from_value(Guarded(stage), TD_Opaque)).into())
        })
    }
    fn flattener(&self) -> AbiResult<ROption<FlattenerObj>> {
        guard("Plugin::flattener", || {
            Ok(self.0.flattener().map(|stage| FlattenerAbi_TO::from_value(Guarded(stage), TD_Opaque)).into())
        })
    }
    fn inspector(&self) -> AbiResult<ROption<InspectorObj>> {
        guard("Plugin::inspector", || {
            Ok(self.0.inspector().map(|stage| InspectorAbi_TO::from_value(Guarded(stage), TD_Opaque)).into())
        })
    }
    fn fixers(&self) -> AbiResult<RVec<FixerObj>> {
        guard("Plugin::fixers", || {
            let fixers = self.0.fixers().into_iter();
            Ok(fixers.map(|stage| FixerAbi_TO::from_value(Guarded(stage), TD_Opaque)).collect())
        })
    }
    fn converter(&self) -> AbiResult<ROption<ConverterObj>> {
        guard("Plugin::converter", || {
            Ok(self.0.converter().map(|stage| ConverterAbi_TO::from_value(Guarded(stage), TD_Opaque)).into())
        })
    }
    fn tester(&self) -> AbiResult<ROption<TesterObj>> {
        guard("Plugin::tester", || {
            Ok(self.0.tester().map(|stage| TesterAbi_TO::from_value(Guarded(stage), TD_Opaque)).into())
        })
    }
}

pub(super) fn plugin_to_abi<P: Plugin>(plugin: P) -> PluginObj {
    PluginAbi_TO::from_value(Guarded(plugin), TD_Opaque)
}
