package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// The inventory as the JSON file states it; README.md explains each member.
type inventory struct {
	VMs []vmSpec `json:"vms"`
}

type vmSpec struct {
	Name       string     `json:"name"`
	Folder     string     `json:"folder"`
	Files      string     `json:"files"` // the folder on the datastore and its files' first name; default: the name, with _ for / \\ %
	GuestID    string     `json:"guest_id"`
	Firmware   string     `json:"firmware"`
	SecureBoot bool       `json:"secure_boot"`
	UUID       string     `json:"uuid"`
	CPUs       int32      `json:"cpus"`
	MemoryMB   int64      `json:"memory_mb"`
	Running    bool       `json:"running"`
	CBT        bool       `json:"cbt"`
	Tools      bool       `json:"tools"`
	Disks      []diskSpec `json:"disks"`
	NICs       []nicSpec  `json:"nics"`
	Snapshots  []string   `json:"snapshots"`
}

type diskSpec struct {
	File       string `json:"file"`       // a raw image; relative to -dir
	Controller string `json:"controller"` // pvscsi, lsilogic, lsilogic-sas, buslogic, sata, nvme, ide
	Bus        int32  `json:"bus"`
	Unit       int32  `json:"unit"`
	Mode       string `json:"mode"`
	Encrypted  bool   `json:"encrypted"` // says so; the bytes are as they are
}

type nicSpec struct {
	Model   string `json:"model"`
	MAC     string `json:"mac"`
	Network string `json:"network"`
}

func readInventory(file string) (inv inventory, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return inv, err
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	return inv, dec.Decode(&inv)
}

// populate makes the datastore, the networks and the VMs through the simulator's own API, as an administrator would.
func (l *lab) populate(ctx context.Context, inv inventory) error {
	c, err := vim25.NewClient(ctx, l.service)
	if err != nil {
		return err
	}
	f := find.NewFinder(c)
	dc, err := f.DefaultDatacenter(ctx)
	if err != nil {
		return err
	}
	f.SetDatacenter(dc)
	host, err := f.DefaultHostSystem(ctx)
	if err != nil {
		return err
	}
	store, err := host.ConfigManager().DatastoreSystem(ctx)
	if err != nil {
		return err
	}
	ds, err := store.CreateLocalDatastore(ctx, l.datastore, l.dir)
	if err != nil {
		return err
	}
	l.datacenter, l.store = strings.TrimPrefix(dc.InventoryPath, "/"), ds.Reference()
	for _, spec := range inv.VMs {
		if err := l.createVM(ctx, c, f, host, spec); err != nil {
			return fmt.Errorf("vm %q: %w", spec.Name, err)
		}
	}
	return nil
}

func (l *lab) createVM(ctx context.Context, c *vim25.Client, f *find.Finder, host *object.HostSystem, spec vmSpec) error {
	folder, err := f.DefaultFolder(ctx)
	if err != nil {
		return err
	}
	if l.options.esx {
		spec.Folder = "" // a host has none
	}
	for _, name := range strings.FieldsFunc(spec.Folder, func(r rune) bool { return r == '/' }) {
		if sub, err := f.Folder(ctx, path.Join(folder.InventoryPath, name)); err == nil {
			folder = sub
			continue
		}
		at := path.Join(folder.InventoryPath, name)
		if folder, err = folder.CreateFolder(ctx, name); err != nil {
			return err
		}
		folder.InventoryPath = at
	}
	spec.Files = cmpOr(spec.Files, strings.NewReplacer("/", "_", "\\", "_", "%", "_").Replace(spec.Name))
	m := &machine{spec: spec}
	devices, err := l.devices(ctx, f, host, m)
	if err != nil {
		return err
	}
	for _, stale := range []string{spec.Files + ".vmx", "vmware.log"} {
		_ = os.Remove(filepath.Join(l.dir, spec.Files, stale))
	}
	config := types.VirtualMachineConfigSpec{
		Name: spec.Files, GuestId: spec.GuestID, Firmware: spec.Firmware, Uuid: spec.UUID, NumCPUs: max(spec.CPUs, 1), MemoryMB: max(spec.MemoryMB, 512), Version: "vmx-19",
		Files:                 &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s] %s/%s.vmx", l.datastore, spec.Files, spec.Files)},
		BootOptions:           &types.VirtualMachineBootOptions{EfiSecureBootEnabled: &spec.SecureBoot},
		ChangeTrackingEnabled: &spec.CBT,
	}
	if config.DeviceChange, err = devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd); err != nil {
		return err
	}
	for _, change := range config.DeviceChange {
		change.GetVirtualDeviceConfigSpec().FileOperation = "" // the disks exist
	}
	pool, err := host.ResourcePool(ctx)
	if err != nil {
		return err
	}
	task, err := folder.CreateVM(ctx, config, pool, host)
	if err != nil {
		return err
	}
	info, err := task.WaitForResult(ctx)
	if err != nil {
		return err
	}
	m.ref = info.Result.(types.ManagedObjectReference)
	vm := object.NewVirtualMachine(c, m.ref)
	if spec.Name != spec.Files { // afterwards: a VM that is made with a name that has to be escaped gets all its devices twice
		if task, err = vm.Rename(ctx, spec.Name); err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			return err
		}
	}
	attached, err := vm.Device(ctx)
	if err != nil {
		return err
	}
	for i, d := range attached.SelectByType((*types.VirtualDisk)(nil)) { // in the order in which they were added
		m.disks[i].key = d.GetVirtualDevice().Key
		controller := attached.FindByKey(d.GetVirtualDevice().ControllerKey)
		m.disks[i].bus = fmt.Sprintf("%s%d:%d", attached.TypeName(controller), controller.(types.BaseVirtualController).GetVirtualController().BusNumber, *d.GetVirtualDevice().UnitNumber)
		if spec.CBT {
			m.disks[i].track()
		}
	}
	l.machines[m.ref] = m
	l.refresh(l.service.Context, m)
	for _, name := range spec.Snapshots {
		task, err := vm.CreateSnapshot(ctx, name, "", false, false)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			return err
		}
	}
	if spec.Running {
		task, err := vm.PowerOn(ctx)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			return err
		}
	}
	if spec.Tools {
		simulated(l.service.Context, m).Guest.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	}
	return nil
}

func (l *lab) devices(ctx context.Context, f *find.Finder, host *object.HostSystem, m *machine) (object.VirtualDeviceList, error) {
	var list object.VirtualDeviceList
	controllers := map[string]int32{"ide0": 200, "ide1": 201} // every VM has these two
	for i, spec := range m.spec.Disks {
		name := fmt.Sprintf("%s%d", spec.Controller, spec.Bus)
		if _, ok := controllers[name]; !ok {
			var dev types.BaseVirtualDevice
			var err error
			switch spec.Controller {
			case "nvme":
				dev, err = list.CreateNVMEController()
			case "sata":
				dev, err = list.CreateSATAController()
			default:
				dev, err = list.CreateSCSIController(spec.Controller)
			}
			if err != nil {
				return nil, err
			}
			dev.(types.BaseVirtualController).GetVirtualController().BusNumber = spec.Bus
			dev.GetVirtualDevice().Key = int32(-100 - i)
			list = append(list, dev)
			controllers[name] = dev.GetVirtualDevice().Key
		}
		base, err := l.place(m.spec.Files, i, spec.File)
		if err != nil {
			return nil, err
		}
		d, err := newDisk(l.dir, base, cmpOr(spec.Mode, "persistent"))
		if err != nil {
			return nil, err
		}
		d.sealed = spec.Encrypted
		m.disks = append(m.disks, d)
		list = append(list, &types.VirtualDisk{CapacityInBytes: d.capacity, CapacityInKB: d.capacity >> 10, VirtualDevice: types.VirtualDevice{
			Key: int32(-200 - i), ControllerKey: controllers[name], UnitNumber: &spec.Unit,
			Backing: l.backing(d, 0, "")}})
	}
	for _, spec := range m.spec.NICs {
		network := cmpOr(spec.Network, "VM Network")
		net, err := f.Network(ctx, network)
		if err != nil {
			system, err := host.ConfigManager().NetworkSystem(ctx)
			if err != nil {
				return nil, err
			}
			if err := system.AddPortGroup(ctx, types.HostPortGroupSpec{Name: network, VswitchName: "vSwitch0"}); err != nil {
				return nil, err
			}
			if net, err = f.Network(ctx, network); err != nil {
				return nil, err
			}
		}
		backing, err := net.EthernetCardBackingInfo(ctx)
		if err != nil {
			return nil, err
		}
		dev, err := list.CreateEthernetCard(cmpOr(spec.Model, "vmxnet3"), backing)
		if err != nil {
			return nil, err
		}
		card := dev.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
		if card.MacAddress = spec.MAC; spec.MAC != "" {
			card.AddressType = string(types.VirtualEthernetCardMacTypeManual)
		}
		list = append(list, dev)
	}
	return list, nil
}

// place gives a raw image the name it has on a datastore, by a link when it lies elsewhere, and returns that name without its ending.
func (l *lab) place(files string, n int, file string) (string, error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join(l.dir, file)
	}
	base := filepath.Join(files, files)
	if n > 0 {
		base += fmt.Sprintf("_%d", n)
	}
	flat := filepath.Join(l.dir, base+"-flat.vmdk")
	if file == flat {
		return base, nil
	}
	if err := os.MkdirAll(filepath.Dir(flat), 0o700); err != nil {
		return "", err
	}
	if info, err := os.Lstat(flat); err == nil && info.Mode()&os.ModeSymlink != 0 {
		_ = os.Remove(flat)
	}
	return base, os.Symlink(file, flat)
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
