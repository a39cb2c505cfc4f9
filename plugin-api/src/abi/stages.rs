//! The six stages and the plugin itself, in both directions.

use std::sync::Arc;

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{ROption, RStr, RString, RVec};

use super::calls::enter;
use super::consume::{Remote, guest_from_abi, read, source_from_abi};
use super::provide::{Guarded, guard, guest_to_abi, lend_guest, source_to_abi};
use super::traits::{
    AbiFlat, AbiOpened, BlockSourceObj, CatalogAbi, CatalogAbi_TO, CatalogObj, ConverterAbi, ConverterAbi_TO,
    ConverterObj, FetcherAbi, FetcherAbi_TO, FetcherObj, FixerAbi, FixerAbi_TO, FixerObj, FlattenerAbi,
    FlattenerAbi_TO, FlattenerObj, GuestObj, InspectorAbi, InspectorAbi_TO, InspectorObj, PluginAbi, PluginAbi_TO,
    PluginObj, TesterAbi, TesterAbi_TO, TesterObj, TransportAbi, TransportAbi_TO, TransportObj,
};
use super::types::{AbiResult, given, to_json};
use crate::model::{
    Changed, CommitOverlay, Convert, CreateOverlay, Define, Defined, Delivered, FixerPlan, FlattenDisk, Hold, HoldWish,
    Link, OpenGuest, OsFamily, PlanContext, PowerState, PowerWish, Release, Render, Rendered, RolledBack, SourceRef,
    StatedDigest, TestRequest, Verdict, VmSpec, VmSummary, Way,
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
    fn carries(&self, way: RStr<'_>) -> AbiResult<u32> {
        guard("Fetcher::carries", || self.0.carries(&given(way)?))
    }
    fn catalog(&self, source: RStr<'_>) -> AbiResult<CatalogObj> {
        guard("Fetcher::catalog", || {
            let catalog = self.0.catalog(&given(source)?)?;
            Ok(CatalogAbi_TO::from_value(Guarded(catalog), TD_Opaque))
        })
    }
    fn transport(&self, link: RStr<'_>) -> AbiResult<TransportObj> {
        guard("Fetcher::transport", || Ok(transport_to_abi(Arc::from(self.0.transport(&given(link)?)?))))
    }
    fn deliver(&self, link: RStr<'_>, folder: RStr<'_>) -> AbiResult<RString> {
        guard("Fetcher::deliver", || to_json(&self.0.deliver(&given(link)?, folder.as_str())?))
    }
}

impl Fetcher for Remote<FetcherObj> {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        let _call = enter(self.label, "Fetcher::accepts");
        self.take(self.object.accepts(to_json(source)?.as_rstr()))
    }
    fn carries(&self, way: &Way) -> Result<u32> {
        let _call = enter(self.label, "Fetcher::carries");
        self.take(self.object.carries(to_json(way)?.as_rstr()))
    }
    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        let _call = enter(self.label, "Fetcher::catalog");
        let catalog = self.take(self.object.catalog(to_json(source)?.as_rstr()))?;
        Ok(Box::new(Remote::new(catalog, self.label)))
    }
    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        let _call = enter(self.label, "Fetcher::transport");
        let transport = self.take(self.object.transport(to_json(link)?.as_rstr()))?;
        Ok(Box::new(Remote::new(transport, self.label)))
    }
    fn deliver(&self, link: &Link, folder: &str) -> Result<Delivered> {
        let _call = enter(self.label, "Fetcher::deliver");
        self.document(self.object.deliver(to_json(link)?.as_rstr(), RStr::from_str(folder)))
    }
}

impl CatalogAbi for Guarded<Box<dyn Catalog>> {
    fn inventory(&self) -> AbiResult<RString> {
        guard("Catalog::inventory", || to_json(&self.0.inventory()?))
    }
    fn describe(&self) -> AbiResult<RString> {
        guard("Catalog::describe", || to_json(&self.0.describe()?))
    }
    fn hold(&self, wish: RStr<'_>) -> AbiResult<RString> {
        guard("Catalog::hold", || to_json(&self.0.hold(&given(wish)?)?))
    }
    fn changed(&self, hold: RStr<'_>, disk: RStr<'_>, since: RStr<'_>, from: u64) -> AbiResult<RString> {
        guard("Catalog::changed", || to_json(&self.0.changed(&given(hold)?, disk.as_str(), since.as_str(), from)?))
    }
    fn power(&self, wish: RStr<'_>) -> AbiResult<RString> {
        guard("Catalog::power", || to_json(&self.0.power(given(wish)?)?))
    }
    fn release(&self, hold: RStr<'_>, why: RStr<'_>) -> AbiResult<()> {
        guard("Catalog::release", || self.0.release(&given(hold)?, given(why)?))
    }
}

impl Catalog for Remote<CatalogObj> {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        let _call = enter(self.label, "Catalog::inventory");
        self.document(self.object.inventory())
    }
    fn describe(&self) -> Result<VmSpec> {
        let _call = enter(self.label, "Catalog::describe");
        self.document(self.object.describe())
    }
    fn hold(&self, wish: &HoldWish) -> Result<Hold> {
        let _call = enter(self.label, "Catalog::hold");
        self.document(self.object.hold(to_json(wish)?.as_rstr()))
    }
    fn changed(&self, hold: &Hold, disk: &str, since: &str, from: u64) -> Result<Changed> {
        let _call = enter(self.label, "Catalog::changed");
        let (disk, since) = (RStr::from_str(disk), RStr::from_str(since));
        self.document(self.object.changed(to_json(hold)?.as_rstr(), disk, since, from))
    }
    fn power(&self, wish: PowerWish) -> Result<PowerState> {
        let _call = enter(self.label, "Catalog::power");
        self.document(self.object.power(to_json(&wish)?.as_rstr()))
    }
    fn release(&self, hold: &Hold, why: Release) -> Result<()> {
        let _call = enter(self.label, "Catalog::release");
        self.take(self.object.release(to_json(hold)?.as_rstr(), to_json(&why)?.as_rstr()))
    }
}

impl TransportAbi for Guarded<Arc<dyn Transport>> {
    fn open(&self, object: RStr<'_>) -> AbiResult<BlockSourceObj> {
        guard("Transport::open", || Ok(source_to_abi(Arc::from(self.0.open(object.as_str())?))))
    }
    fn resolve(&self, from: RStr<'_>, name: RStr<'_>) -> AbiResult<RString> {
        guard("Transport::resolve", || self.0.resolve(from.as_str(), name.as_str()).map(RString::from))
    }
    fn fingerprint(&self, object: RStr<'_>) -> AbiResult<RString> {
        guard("Transport::fingerprint", || self.0.fingerprint(object.as_str()).map(RString::from))
    }
    fn stated_digests(&self, object: RStr<'_>) -> AbiResult<RString> {
        guard("Transport::stated_digests", || to_json(&self.0.stated_digests(object.as_str())?))
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
    fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        let _call = enter(self.label, "Transport::stated_digests");
        self.document(self.object.stated_digests(RStr::from_str(object)))
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
    fn open_sources(&self, request: RStr<'_>, disks: RVec<BlockSourceObj>) -> AbiResult<AbiOpened> {
        guard("Inspector::open_sources", || {
            let opened = self.0.open_sources(&given::<OpenGuest>(request)?, taken(disks))?;
            Ok(AbiOpened { inspection: to_json(&opened.inspection)?, guest: guest_to_abi(opened.guest) })
        })
    }
    fn accepts_disks(&self, request: RStr<'_>, disks: RVec<BlockSourceObj>) -> AbiResult<u32> {
        guard("Inspector::accepts_disks", || self.0.accepts_disks(&given::<OpenGuest>(request)?, taken(disks)))
    }
    fn roll_back(&self, request: RStr<'_>) -> AbiResult<RString> {
        guard("Inspector::roll_back", || to_json(&self.0.roll_back(&given::<OpenGuest>(request)?)?))
    }
}

fn taken(disks: RVec<BlockSourceObj>) -> Vec<Arc<dyn BlockSource>> {
    disks.into_iter().map(|disk| Arc::from(source_from_abi(disk, "host"))).collect()
}

impl Inspector for Remote<InspectorObj> {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        let _call = enter(self.label, "Inspector::accepts");
        self.take(self.object.accepts(to_json(request)?.as_rstr()))
    }
    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let _call = enter(self.label, "Inspector::open");
        let opened = self.take(self.object.open(to_json(request)?.as_rstr()))?;
        self.opened(opened)
    }
    fn open_sources(&self, request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>) -> Result<Opened> {
        let _call = enter(self.label, "Inspector::open_sources");
        let disks = disks.into_iter().map(source_to_abi).collect();
        let opened = self.take(self.object.open_sources(to_json(request)?.as_rstr(), disks))?;
        self.opened(opened)
    }
    fn accepts_disks(&self, request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>) -> Result<u32> {
        let _call = enter(self.label, "Inspector::accepts_disks");
        let disks = disks.into_iter().map(source_to_abi).collect();
        self.take(self.object.accepts_disks(to_json(request)?.as_rstr(), disks))
    }
    fn roll_back(&self, request: &OpenGuest) -> Result<RolledBack> {
        let _call = enter(self.label, "Inspector::roll_back");
        self.document(self.object.roll_back(to_json(request)?.as_rstr()))
    }
}

impl Remote<InspectorObj> {
    fn opened(&self, opened: AbiOpened) -> Result<Opened> {
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
    fn targets(&self) -> AbiResult<RString> {
        guard("Converter::targets", || to_json(&self.0.targets()))
    }
    fn render(&self, request: RStr<'_>) -> AbiResult<RString> {
        guard("Converter::render", || to_json(&self.0.render(&given::<Render>(request)?)?))
    }
    fn define(&self, request: RStr<'_>) -> AbiResult<RString> {
        guard("Converter::define", || to_json(&self.0.define(&given::<Define>(request)?)?))
    }
}

/// A converter; its formats and targets do not change and were asked once.
pub(super) struct RemoteConverter {
    remote: Remote<ConverterObj>,
    formats: Vec<String>,
    targets: Vec<String>,
}

impl RemoteConverter {
    pub(super) fn new(remote: Remote<ConverterObj>) -> Result<Self> {
        let formats = {
            let _call = enter(remote.label, "Converter::formats");
            remote.document(remote.object.formats())?
        };
        let targets = {
            let _call = enter(remote.label, "Converter::targets");
            remote.document(remote.object.targets())?
        };
        Ok(Self { remote, formats, targets })
    }
}

impl Converter for RemoteConverter {
    fn formats(&self) -> Vec<String> {
        self.formats.clone()
    }
    fn targets(&self) -> Vec<String> {
        self.targets.clone()
    }
    fn render(&self, request: &Render) -> Result<Rendered> {
        let _call = enter(self.remote.label, "Converter::render");
        self.remote.document(self.remote.object.render(to_json(request)?.as_rstr()))
    }
    fn define(&self, request: &Define) -> Result<Defined> {
        let _call = enter(self.remote.label, "Converter::define");
        self.remote.document(self.remote.object.define(to_json(request)?.as_rstr()))
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
