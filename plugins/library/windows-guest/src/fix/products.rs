//! The tools of hypervisors that a guest may have come from: the names of their services, filters and network providers.

/// Tools of one hypervisor.
pub struct Product {
    /// What people call it.
    pub name: &'static str,
    /// Drivers that it puts before those of other devices, in `UpperFilters` and `LowerFilters`.
    pub filters: &'static [&'static str],
    /// File systems that it registers as networks.
    pub providers: &'static [&'static str],
    /// Services and drivers, of every version; only what is there is changed.
    pub services: &'static [&'static str],
}

/// Where the guest comes from: its files and services are of no use any more, and are deleted at the first start.
pub const VMWARE: Product = Product {
    name: "VMware Tools",
    filters: &["VMMouse", "VMUsbMouse"],
    providers: &["vmhgfs"],
    services: &[
        "VMTools",
        "VGAuthService",
        "vm3dservice",
        "vmvss",
        "VMUpgradeHelper",
        "TPAutoConnSvc",
        "TPVCGateway",
        "vmci",
        "vsock",
        "vmrawdsk",
        "VMMemCtl",
        "vmhgfs",
        "vm3dmp",
        "vm3dmp-debug",
        "vm3dmp-stats",
        "vm3dmp_loader",
        "vmmouse",
        "vmusbmouse",
        "vmxnet",
        "vmxnet2",
        "vmxnet3",
        "vmxnet3ndis5",
        "vmxnet3ndis6",
        "pvscsi",
        "vmscsi",
        "vmwefifw",
        "vmdebug",
        "vmdesched",
        "giappdef",
    ],
};

/// Where it may have come from before: a filter whose hypervisor is not there may stop the disk or the mouse that it sits before. Hyper-V's
/// drivers are Windows' own, and sleep where it is not.
pub const OTHERS: [Product; 3] = [
    Product {
        name: "VirtualBox Guest Additions",
        filters: &["VBoxMouse"],
        providers: &["VBoxSF"],
        services: &["VBoxService", "VBoxGuest", "VBoxMouse", "VBoxSF", "VBoxVideo", "VBoxVideoW8", "VBoxWddm"],
    },
    Product {
        name: "Xen's drivers",
        filters: &["XENFILT", "scsifilt"],
        providers: &[],
        services: &[
            "xenbus",
            "xenfilt",
            "xenvbd",
            "xenvif",
            "xennet",
            "xennet6",
            "xeniface",
            "xenevtchn",
            "xenhid",
            "xenvkbd",
            "xencons",
            "xencrsh",
            "xendisk",
            "xenlite",
            "scsifilt",
            "XenSvc",
            "xenagent",
            "XenInstall",
        ],
    },
    Product {
        name: "Parallels Tools",
        filters: &["prl_mouf", "prl_strg"],
        providers: &[],
        services: &[
            "prl_boot",
            "prl_dd",
            "prl_eth5",
            "prl_fs",
            "prl_fs_freeze",
            "prl_memdev",
            "prl_mouf",
            "prl_scsi",
            "prl_sound",
            "prl_strg",
            "prl_tg",
            "prl_time",
            "prl_uprof",
            "Parallels Tools Service",
            "Parallels Coherence Service",
        ],
    },
];
