//! INF files in the syntax of the public virtio drivers, in words of our own: what the packages for Windows 7, 8.1, 10 and 11 differ in.

/// A made-up package: the name of its driver, and an INF in which `NT@` stands for the target (`NTamd64.6.1`).
#[derive(Debug, Clone, Copy)]
pub struct FakeDriver {
    /// The folder of the driver: `NetKVM`.
    pub folder: &'static str,
    /// Name of INF, program and catalogue without their endings: `netkvm`.
    pub stem: &'static str,
    /// Whether it has a program; else it only gives a device its name.
    pub has_program: bool,
    text: &'static str,
}

impl FakeDriver {
    /// The INF for a target: `amd64.6.1`, `x86.6.3`, `amd64.10.0...16299`. Lines end as Windows wants them.
    pub fn inf(&self, target: &str) -> String {
        let directory = if target.ends_with("16299") { "13" } else { "12" };
        self.text
            .replace("NT@", &format!("NT{target}"))
            .replace("%DRIVERS%", &format!("%{directory}%"))
            .replace('\n', "\r\n")
    }
}

/// Every fake driver.
pub const DRIVERS: [FakeDriver; 8] = [VIOSTOR, VIOSCSI, NETKVM, BALLOON, VIOSER, PVPANIC, SMBUS, PCISERIAL];

/// The block driver: a boot service, its values, interrupts, and tokens for every number.
pub const VIOSTOR: FakeDriver = FakeDriver {
    folder: "viostor",
    stem: "viostor",
    has_program: true,
    text: r#"; A block driver for tests
[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=%VENDOR%
DriverVer = 06/21/2016,61.73.104.12000 ; stamped by the build
CatalogFile=viostor.cat
PnpLockdown=1

[SourceDisksNames]
1 = %Disk%,,,""

[SourceDisksFiles]
viostor.sys = 1,,

[ControlFlags]
;ExcludeFromSelect = *

[DestinationDirs]
DefaultDestDir = 10
Copied = 12

[Manufacturer]
%VENDOR%   = Blocks,NT@

[Blocks.NT@]
%Block.Name% = block_inst, PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00, PCI\VEN_1AF4&DEV_1001
%Block.Name% = block_inst, PCI\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01, PCI\VEN_1AF4&DEV_1042

[Copied]
viostor.sys,,,2

[block_inst]
CopyFiles=Copied

[block_inst.Services]
AddService = viostor, 0x00000002 , block_service, block_log

[block_service]
ServiceType    = %KERNEL_DRIVER%
StartType      = %BOOT_START%
ErrorControl   = %ERROR_NORMAL%
ServiceBinary  = %DRIVERS%\viostor.sys
LoadOrderGroup = SCSI miniport
AddReg         = block_parameters

[block_inst.HW]
AddReg         = block_msix

[block_log]
AddReg = block_log_values

[block_log_values]
HKR,,EventMessageFile,%EXPAND_SZ%,"%%SystemRoot%%\System32\IoLogMsg.dll"
HKR,,TypesSupported,%DWORD%,7

[block_parameters]
HKR, "Parameters\PnpInterface", "5", %DWORD%, 0x00000001
HKR, "Parameters", "BusType", %DWORD%, 0x00000001

[block_msix]
HKR, "Interrupt Management",, 0x00000010
HKR, "Interrupt Management\MessageSignaledInterruptProperties",, 0x00000010
HKR, "Interrupt Management\MessageSignaledInterruptProperties", MSISupported, 0x00010001, 1
HKR, "Interrupt Management\MessageSignaledInterruptProperties", MessageNumberLimit, 0x00010001, 257
HKR, "Interrupt Management\Affinity Policy",, 0x00000010
HKR, "Interrupt Management\Affinity Policy", DevicePolicy, 0x00010001, 5

[Strings]
;
; In every language
;
VENDOR = "Red Hat, Inc."
disk = "VirtIO block installation disk"
Block.Name = "VirtIO block controller (fake)"

EXPAND_SZ     = 0x00020000
DWORD         = 0x00010001
KERNEL_DRIVER = 1
BOOT_START    = 0
ERROR_NORMAL  = 1
"#,
};

/// The SCSI driver: another `BusType`, files named directly, and a second manufacturer's line.
pub const VIOSCSI: FakeDriver = FakeDriver {
    folder: "vioscsi",
    stem: "vioscsi",
    has_program: true,
    text: r#";/*++ A SCSI driver for tests --*/
[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=%VENDOR%
DriverVer=06/21/2016,61.73.104.12000
CatalogFile=vioscsi.cat

[SourceDisksNames]
1 = %Disk%,,,""

[SourceDisksFiles]
vioscsi.sys = 1,,

[DestinationDirs]
DefaultDestDir = 12

[Manufacturer]
%VENDOR% = Scsi,NTx86.5.1,NT@

[Scsi.NT@]
%Scsi.Name% = scsi_inst, PCI\VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00, PCI\VEN_1AF4&DEV_1004
%Scsi.Name% = scsi_inst, PCI\VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01, PCI\VEN_1AF4&DEV_1048

[scsi_inst]
CopyFiles=@vioscsi.sys

[scsi_inst.Services]
AddService = vioscsi,%ASSOCIATED%,scsi_service

[scsi_service]
DisplayName=%Scsi.Service%
ServiceType=1
StartType=0
ErrorControl=1
ServiceBinary=%DRIVERS%\vioscsi.sys
LoadOrderGroup=SCSI miniport
AddReg=scsi_parameters,scsi_dma

[scsi_parameters]
HKR, "Parameters\PnpInterface", "5", 0x00010001, 1
HKR, "Parameters", "BusType", 0x00010001, 0x0000000A

[scsi_dma]
HKR, "Parameters", "DmaRemappingCompatible", 0x00010001, 0

[scsi_inst.HW]
AddReg=scsi_msix

[scsi_msix]
HKR, "Interrupt Management\MessageSignaledInterruptProperties", MSISupported, 0x00010001, 1

[Strings]
VENDOR="Red Hat, Inc."
ASSOCIATED=0x00000002
Disk="VirtIO SCSI installation disk"
Scsi.Name="VirtIO SCSI pass-through controller (fake)"
Scsi.Service="VirtIO SCSI service (fake)"
"#,
};

/// The network driver: an adapter's settings, parameters with names in asterisks, a helper beside the driver.
pub const NETKVM: FakeDriver = FakeDriver {
    folder: "NetKVM",
    stem: "netkvm",
    has_program: true,
    text: r#";---- A network driver for tests ----

[version]
Signature   = "$Windows NT$"
Class       = Net
CatalogFile = netkvm.cat
ClassGUID   = {4d36e972-e325-11ce-bfc1-08002be10318}
Provider    = %VENDOR%
DriverVer   = 06/21/2016,61.73.104.12000

[Manufacturer]
%VENDOR% = Cards, NT@

[Cards.NT@]
%Card.Name%    = card.ndi, PCI\VEN_1AF4&DEV_1000&SUBSYS_00011AF4&REV_00, PCI\VEN_1AF4&DEV_1000
%Card.Name%    = card.ndi, PCI\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01, PCI\VEN_1AF4&DEV_1041

[card.ndi.hw]
AddReg          = card.Msi

[card.Msi]
;HKR, "Interrupt Management",, 0x00000010
HKR, "Interrupt Management\MessageSignaledInterruptProperties",	MSISupported, 0x00010001, 1

[card.ndi]
Characteristics = 0x84 ; physical, with a page of its own
BusType		= 5 ; PCI
AddReg          = card.Reg, Parameters
CopyFiles       = card.CopyFiles, helper.CopyFiles
*IfType         = 6
*MediaType      = 0		; 802.3

[card.ndi.Services]
AddService      = netkvm, 2, card.Service, card.EventLog

[card.Reg]
HKR,    ,                         BusNumber,           0, "0"
HKR, Ndi,                         Service,             0, "netkvm"
HKR, Ndi\Interfaces,              UpperRange,          0, "ndis5"

[Parameters]
HKR, Ndi\Params\*RSS,             ParamDesc,           0, %Rss%
HKR, Ndi\params\*RSS\enum,        "0",                 0, "Disabled"

[card.CopyFiles]
netkvm.sys,,,2

[helper.CopyFiles]
netkvmco.dll,,,0x00000002

[card.Service]
DisplayName     = %Card.Service%
ServiceType     = 1 ;%SERVICE_KERNEL_DRIVER%
StartType       = 3 ;%SERVICE_DEMAND_START%
ErrorControl    = 1 ;%SERVICE_ERROR_NORMAL%
ServiceBinary   = %DRIVERS%\netkvm.sys
LoadOrderGroup  = NDIS
AddReg          = TextModeFlags.Reg

[card.EventLog]
AddReg = card.EventLog.Reg

[card.EventLog.Reg]
HKR, , TypesSupported,   0x00010001, 7

[TextModeFlags.Reg]
HKR,,TextModeFlags,0x00010001, 0x0001
HKR,Parameters,DisableMSI,,"0"

[SourceDisksNames]
1 = %Disk%,,,""

[SourceDisksFiles]
netkvm.sys  = 1,,
netkvmco.dll = 1,,

[DestinationDirs]
card.CopyFiles = 12
helper.CopyFiles = 11

[Strings]
VENDOR = "Red Hat, Inc."
Card.Name        = "VirtIO Ethernet adapter (fake)"
Card.Service    = "VirtIO Ethernet service (fake)"
Disk = "VirtIO Ethernet driver disk"
Tx = "Tx Enabled";
Enable* = "Enabled*"
10M = "10M"
Rss = "Receive side scaling"
"#,
};

/// The balloon driver: sections for NT, and the co-installer that Windows 7 needs.
pub const BALLOON: FakeDriver = FakeDriver {
    folder: "Balloon",
    stem: "balloon",
    has_program: true,
    text: r#"[Version]
Signature="$WINDOWS NT$"
Class=System
ClassGuid={4d36e97d-e325-11ce-bfc1-08002be10318}
Provider=%VENDOR%
DriverVer=06/21/2016,61.73.104.12000
CatalogFile=Balloon.cat

[DestinationDirs]
DefaultDestDir = 12
Co_CopyFiles = 11

[SourceDisksNames]
1 = %Disk%,,,""

[SourceDisksFiles]
balloon.sys  = 1,,
WdfCoInstaller01009.dll=1 ; the number must be one of SourceDisksNames

[Manufacturer]
%VENDOR%=Standard,NT@

[Standard.NT@]
%Balloon.Name%=Balloon_Device, PCI\VEN_1AF4&DEV_1002&SUBSYS_00051AF4&REV_00, PCI\VEN_1AF4&DEV_1002
%Balloon.Name%=Balloon_Device, PCI\VEN_1AF4&DEV_1045&SUBSYS_11001AF4&REV_01, PCI\VEN_1AF4&DEV_1045

[Balloon_Device.NT]
CopyFiles=Drivers_Dir

[Drivers_Dir]
balloon.sys

[Balloon_Device.NT.Services]
AddService = BALLOON,%ASSOCIATED%, Balloon_Service_Inst, Balloon_Log

[Balloon_Service_Inst]
DisplayName    = %Balloon.Service%
ServiceType    = 1               ; kernel driver
StartType      = 3               ; on demand
ErrorControl   = 1
ServiceBinary  = %DRIVERS%\balloon.sys

[Balloon_Log]
AddReg = Balloon_Log_Values

[Balloon_Log_Values]
HKR,,EventMessageFile,0x00020000,"%%SystemRoot%%\System32\IoLogMsg.dll;%%SystemRoot%%\System32\drivers\balloon.sys"

[Balloon_Device.NT.CoInstallers]
AddReg=Co_AddReg
CopyFiles=Co_CopyFiles

[Co_AddReg]
HKR,,CoInstallers32,0x00010000, "WdfCoInstaller01009.dll,WdfCoInstaller"

[Co_CopyFiles]
WdfCoInstaller01009.dll

[Balloon_Device.NT.Wdf]
KmdfService =  BALLOON, Balloon_wdfsect
[Balloon_wdfsect]
KmdfLibraryVersion = 1.9

[Strings]
ASSOCIATED= 0x00000002
VENDOR = "Red Hat, Inc."
Disk = "VirtIO balloon installation disk #1"
Balloon.Name = "VirtIO balloon (fake)"
Balloon.Service = "VirtIO balloon service (fake)"
"#,
};

/// The serial driver: sections twice, a models section without decoration beside the decorated one.
pub const VIOSER: FakeDriver = FakeDriver {
    folder: "vioserial",
    stem: "vioser",
    has_program: true,
    text: r#";;;;;;;;;;;;;;;;;;;;;;;;;;
[Version]
Signature="$WINDOWS NT$"
Class=System
ClassGuid={4d36e97d-e325-11ce-bfc1-08002be10318}
Provider=%REDHAT%
DriverVer=06/21/2016,61.73.104.12000
CatalogFile=vioser.cat

[DestinationDirs]
DefaultDestDir = 12

[SourceDisksNames]
1 = %Disk%,,,""

[SourceDisksFiles]
vioser.sys  = 1,,

[Manufacturer]
%Maker%=Serial,NT@

[Serial]
%Serial.Name%=Serial_Device, PCI\VEN_1AF4&DEV_1003&SUBSYS_00031AF4

[Serial.NT@]
; Hw Id is PCI\VEN_1AF4&DEV_1003
%Serial.Name%=Serial_Device, PCI\VEN_1AF4&DEV_1003&SUBSYS_00031AF4&REV_00, \
    PCI\VEN_1AF4&DEV_1003
%Serial.Name%=Serial_Device, PCI\VEN_1AF4&DEV_1043&SUBSYS_11001AF4&REV_01, PCI\VEN_1AF4&DEV_1043

[Serial_Device.NT]
CopyFiles=Drivers_Dir

[Drivers_Dir]
vioser.sys

[Serial_Device.NT.Services]
AddService = VirtioSerial,%ASSOCIATED%, Serial_Service

[Serial_Service]
DisplayName    = %Serial.Service%
ServiceType    = 1               ; SERVICE_KERNEL_DRIVER
StartType      = 3
ErrorControl   = 1
ServiceBinary  = %DRIVERS%\vioser.sys
LoadOrderGroup = Extended Base

[DestinationDirs]
Co_CopyFiles = 11

[Serial_Device.NT.CoInstallers]
CopyFiles=Co_CopyFiles

[Co_CopyFiles]
WdfCoInstaller01009.dll

[SourceDisksFiles]
WdfCoInstaller01009.dll=1 ; make sure that it is the number of a disk

[Strings]
REDHAT = "Red Hat Inc."
ASSOCIATED= 0x00000002
Maker = "VirtIO serial devices"
Disk = "VirtIO serial installation disk #1"
Serial.Name = "VirtIO serial driver (fake)"
Serial.Service = "VirtIO serial service (fake)"
"#,
};

/// A device of ACPI.
pub const PVPANIC: FakeDriver = FakeDriver {
    folder: "pvpanic",
    stem: "pvpanic",
    has_program: true,
    text: r#"[Version]
Signature       = "$WINDOWS NT$"
Class           = System
ClassGuid       = {4d36e97d-e325-11ce-bfc1-08002be10318}
Provider        = %VENDOR%
DriverVer=06/21/2016,61.73.104.12000
CatalogFile     = pvpanic.cat

[DestinationDirs]
DefaultDestDir = 12

[SourceDisksNames]
1 = %Disk%,,,""

[SourceDisksFiles]
pvpanic.sys = 1,,

[Manufacturer]
%VENDOR% = Panic,NT@

[Panic.NT@]
%Panic.Name% = Panic_Device, ACPI\QEMU0001

[Panic_Device.NT]
CopyFiles = Panic_CopyFiles

[Panic_CopyFiles]
pvpanic.sys

[Panic_Device.NT.Services]
AddService = PVPanic,0x00000002,Panic_Service  ;the device's own

[Panic_Service]
DisplayName    = %Panic.Service%
ServiceType    = 1
StartType      = 3
ErrorControl   = 1
ServiceBinary  = %DRIVERS%\pvpanic.sys
LoadOrderGroup = Extended Base

[Strings]
VENDOR = "Red Hat, Inc."
Disk          = "QEMU panic installation disk"
Panic.Name    = "QEMU panic device (fake)"
Panic.Service = "QEMU panic service (fake)"
"#,
};

/// A package without a service: it names a device.
pub const SMBUS: FakeDriver = FakeDriver {
    folder: "smbus",
    stem: "smbus",
    has_program: false,
    text: r#"[Version]
Signature = "$Windows NT$"
Class = System
ClassGuid = {4D36E97D-E325-11CE-BFC1-08002BE10318}
Provider = %VENDOR%
DriverVer=04/27/2017,100.0.0.0
DriverPackageType = PlugAndPlay
CatalogFile  = smbus.cat
DriverPackageType = PlugAndPlay

[Manufacturer]
%Bus.Name% = Models, NT@

[Models]
%Bus.Name% = NullInstallSection, PCI\VEN_8086&CC_0C05

[Models.NT@]
%Bus.Name% = NullInstallSection, PCI\VEN_8086&DEV_2930&SUBSYS_11001AF4
%Bus.Name% = NullInstallSection, PCI\VEN_8086&CC_0C0500

[NullInstallSection]

[NullInstallSection.Services]
AddService = , 2                 ; none

[Strings]
VENDOR = "Red Hat, Inc."
Bus.Name = "Q35 SM bus (fake)"
"#,
};

/// A package that lives off an INF of Windows.
pub const PCISERIAL: FakeDriver = FakeDriver {
    folder: "qemupciserial",
    stem: "qemupciserial",
    has_program: false,
    text: r#"[Version]
Signature="$CHICAGO$"
Class=MultiFunction
ClassGUID={4d36e971-e325-11ce-bfc1-08002be10318}
Provider=%QEMU%
DriverVer=12/29/2013,1.3.0
CatalogFile=qemupciserial.cat
[Manufacturer]
%QEMU%=QEMU,NT@
[QEMU.NT@]
%ONE-PORT%=Port_inst1, PCI\VEN_1B36&DEV_0002
[Port_inst1]
Include=mf.inf
Needs=MFINSTALL.mf
[Port_inst1.HW]
AddReg=Port_inst1.RegHW
[Port_inst1.Services]
Include=mf.inf
Needs=MFINSTALL.mf.Services
[Port_inst1.RegHW]
HKR,Child0000,HardwareID,,*PNP0501
HKR,Child0000,VaryingResourceMap,1,00, 00,00,00,00, 08,00,00,00
HKR,Child0000,ResourceMap,1,02
[Strings]
QEMU="QEMU"
ONE-PORT="1x PCI serial card (fake)"
"#,
};
