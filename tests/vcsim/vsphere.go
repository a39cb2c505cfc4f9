package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// What the simulator lacks: snapshots with redo logs, changed block tracking, consolidation, export leases (lease.go), tickets, and
// refusing what is not logged in. Calls listed in `ours` are led here by the registry's Handler hook.

type ref = types.ManagedObjectReference

type machine struct {
	spec      vmSpec
	ref       ref
	disks     []*disk
	snapshots []*snapshot // oldest first; one line, no branches
	exporting bool
}

type snapshot struct {
	ref    ref
	name   string
	layers []int // per disk: the layer it froze; -1: the disk is independent
	ids    []string
	epochs []int
}

type lab struct {
	mu        sync.Mutex
	options   options
	service   *simulator.Service
	dir       string
	datastore string
	store     ref
	// Inventory path of the datacenter, as /folder wants it.
	datacenter string
	machines   map[ref]*machine
	leases     map[string]*lease
	sessions   map[string]time.Time
	tickets    map[string]string // one-time ticket -> URL it is good for
	faults     []*fault
	denied     map[string]bool // privileges that the user does not have
	stats      stats
	inFlight   int
}

// Reference, Lock and Unlock let the lab stand as a managed object that locks for itself.
func (l *lab) Reference() ref { return ref{Type: "Lab", Value: "lab"} }

// Lock does nothing: the lab's methods lock the VM they work on.
func (l *lab) Lock() {}

// Unlock does nothing.
func (l *lab) Unlock() {}

var ours = map[string]bool{
	"CreateSnapshot_Task": true, "CreateSnapshotEx_Task": true, "RemoveSnapshot_Task": true, "RemoveAllSnapshots_Task": true,
	"RevertToSnapshot_Task": true, "QueryChangedDiskAreas": true, "ConsolidateVMDisks_Task": true, "ExportVm": true, "ExportSnapshot": true,
	"CreateDescriptor": true, "AcquireGenericServiceTicket": true, "HasPrivilegeOnEntities": true,
}

// hook sees every SOAP call before the simulator does.
func (l *lab) hook(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	l.mu.Lock()
	l.stats.Calls[m.Name]++
	l.mu.Unlock()
	if ctx.Session == nil && (strings.HasPrefix(m.Name, "RetrieveProperties") || m.Name == "Fetch") {
		return nil, &types.NotAuthenticated{}
	}
	if m.Name == "Logout" && ctx.Session != nil {
		l.forget(ctx.Session.Key)
	}
	if f := l.take(func(f *fault) bool { return f.Method == m.Name && !f.Task }); f != nil {
		time.Sleep(time.Duration(f.DelayMS) * time.Millisecond)
		if f.Fault != "" {
			return nil, namedFault(f.Fault)
		}
	}
	vm := l.machine(ctx, m.This)
	if vm != nil && (m.Name == "PowerOnVM_Task" || m.Name == "QueryChangedDiskAreas") && !l.running(vm) {
		vm.activate(ctx) // a VM that is off tracks as soon as it was told to
	}
	if vm != nil && m.Name == "ReconfigVM_Task" && !vm.enabled(ctx) {
		vm.forget() // what was tracked before it was turned off is worth nothing when it is turned on again
	}
	if vm != nil && vm.exporting && (m.Name == "PowerOnVM_Task" || m.Name == "ReconfigVM_Task" || m.Name == "ExportVm") {
		return nil, &types.TaskInProgress{}
	}
	if ours[m.Name] && (vm != nil || m.This.Type == "SessionManager" || m.This.Type == "OvfManager" || m.This.Type == "AuthorizationManager") {
		m.This = l.Reference() // unknown to the registry, which is why the simulator takes the object returned here
		return l, nil
	}
	return nil, nil
}

// HasPrivilegeOnEntities says which privileges the user has: all that no test took away.
func (l *lab) HasPrivilegeOnEntities(_ *simulator.Context, req *types.HasPrivilegeOnEntities) soap.HasFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	res := &types.HasPrivilegeOnEntitiesResponse{}
	for _, entity := range req.Entity {
		all := types.EntityPrivilege{Entity: entity}
		for _, id := range req.PrivId {
			all.PrivAvailability = append(all.PrivAvailability, types.PrivilegeAvailability{PrivId: id, IsGranted: !l.denied[id]})
		}
		res.Returnval = append(res.Returnval, all)
	}
	return &methods.HasPrivilegeOnEntitiesBody{Res: res}
}

// namedFault makes a fault from its name in the API, e.g. FileFault.
func namedFault(name string) types.BaseMethodFault {
	if t, ok := types.TypeFunc()(name); ok {
		if f, ok := reflect.New(t).Interface().(types.BaseMethodFault); ok {
			return f
		}
	}
	return &types.SystemError{}
}

// machine finds the VM that a call concerns, by itself or by its snapshot.
func (l *lab) machine(ctx *simulator.Context, r ref) *machine {
	if s, ok := ctx.Map.Get(r).(*simulator.VirtualMachineSnapshot); ok {
		r = s.Vm
	}
	return l.machines[r]
}

func simulated(ctx *simulator.Context, m *machine) *simulator.VirtualMachine {
	return ctx.Map.Get(m.ref).(*simulator.VirtualMachine)
}

func (m *machine) enabled(ctx *simulator.Context) bool {
	on := simulated(ctx, m).Config.ChangeTrackingEnabled
	return on != nil && *on
}

// forget ends tracking: it begins anew when it is turned on again.
func (m *machine) forget() {
	for _, d := range m.disks {
		d.mu.Lock()
		d.tracking = false
		d.mu.Unlock()
	}
}

// activate starts tracking where it was enabled and has not begun.
func (m *machine) activate(ctx *simulator.Context) {
	for _, d := range m.disks {
		if m.enabled(ctx) && !d.tracking && !strings.HasPrefix(d.mode, "independent") {
			d.track()
		}
	}
}

// backing describes the chain that ends in layer top.
func (l *lab) backing(d *disk, top int, changeID string) *types.VirtualDiskFlatVer2BackingInfo {
	var b *types.VirtualDiskFlatVer2BackingInfo
	for i := 0; i <= top; i++ {
		b = &types.VirtualDiskFlatVer2BackingInfo{Parent: b, DiskMode: d.mode, Uuid: d.uuid, ContentId: fmt.Sprintf("%032x", d.layers[i].cid), ThinProvisioned: types.NewBool(true),
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: fmt.Sprintf("[%s] %s", l.datastore, d.layers[i].descriptor), Datastore: &l.store}}
		if i > 0 {
			b.DeltaDiskFormat = "redoLogFormat"
		}
		if d.sealed {
			b.KeyId = &types.CryptoKeyId{KeyId: "lab-key", ProviderId: &types.KeyProviderId{Id: "lab"}}
		}
	}
	b.ChangeId = changeID
	return b
}

// refresh shows the disks' present chains in the VM's and its snapshots' configuration.
func (l *lab) refresh(ctx *simulator.Context, m *machine) {
	show := func(devices []types.BaseVirtualDevice, backing func(int) *types.VirtualDiskFlatVer2BackingInfo) {
		for _, dev := range devices {
			for i, d := range m.disks {
				if x, ok := dev.(*types.VirtualDisk); ok && x.Key == d.key {
					x.Backing = backing(i)
				}
			}
		}
	}
	vm := simulated(ctx, m)
	show(vm.Config.Hardware.Device, func(i int) *types.VirtualDiskFlatVer2BackingInfo {
		return l.backing(m.disks[i], m.disks[i].top(), m.disks[i].changeID(m.disks[i].epoch()))
	})
	for _, s := range m.snapshots {
		if x, ok := ctx.Map.Get(s.ref).(*simulator.VirtualMachineSnapshot); ok {
			show(x.Config.Hardware.Device, func(i int) *types.VirtualDiskFlatVer2BackingInfo {
				return l.backing(m.disks[i], max(s.layers[i], 0), s.ids[i])
			})
		}
	}
	vm.RefreshStorageInfo(ctx, nil)
	if vm.Summary.Storage != nil { // the simulator does not see through links, nor holes
		vm.Summary.Storage.Committed = 0
		for _, d := range m.disks {
			for _, layer := range d.layers {
				if info, err := layer.file.Stat(); err == nil {
					vm.Summary.Storage.Committed += info.Sys().(*syscall.Stat_t).Blocks * sector
				}
			}
		}
	}
	for i := range vm.LayoutEx.File { // the simulator calls every extent "-flat"
		f := &vm.LayoutEx.File[i]
		for _, d := range m.disks {
			for _, layer := range d.layers[1:] {
				if strings.HasSuffix(f.Name, " "+strings.TrimSuffix(layer.descriptor, ".vmdk")+"-flat.vmdk") {
					f.Name, f.Size = strings.Replace(f.Name, "-flat.vmdk", "-delta.vmdk", 1), layer.next*sector
				}
			}
		}
	}
	ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: vm.Config.Hardware.Device}})
}

// CreateSnapshotTask implements CreateSnapshot_Task.
func (l *lab) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	run := l.createSnapshot(ctx, req.This, &types.CreateSnapshotEx_Task{This: req.This, Name: req.Name, Description: req.Description, Memory: req.Memory}, req.Quiesce)
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: run}}
}

// CreateSnapshotExTask implements CreateSnapshotEx_Task.
func (l *lab) CreateSnapshotExTask(ctx *simulator.Context, req *types.CreateSnapshotEx_Task) soap.HasFault {
	run := l.createSnapshot(ctx, req.This, req, req.QuiesceSpec != nil)
	return &methods.CreateSnapshotEx_TaskBody{Res: &types.CreateSnapshotEx_TaskResponse{Returnval: run}}
}

func (l *lab) createSnapshot(ctx *simulator.Context, this ref, req *types.CreateSnapshotEx_Task, quiesce bool) ref {
	m, vm := l.machines[this], ctx.Map.Get(this).(*simulator.VirtualMachine)
	return simulator.CreateTask(vm, "createSnapshot", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if f := l.take(func(f *fault) bool { return f.Method == "CreateSnapshot_Task" && f.Task && (quiesce || !f.Quiesce) }); f != nil {
			return nil, namedFault(f.Fault)
		}
		inner := ctx.Map.Get(vm.CreateSnapshotExTask(ctx, req).(*methods.CreateSnapshotEx_TaskBody).Res.Returnval).(*simulator.Task)
		inner.Wait()
		made, ok := inner.Info.Result.(ref)
		if !ok {
			return nil, &types.SnapshotFault{}
		}
		s := &snapshot{ref: made, name: req.Name}
		if !l.running(m) {
			m.activate(ctx)
		}
		for _, d := range m.disks {
			if strings.HasPrefix(d.mode, "independent") {
				s.layers, s.ids, s.epochs = append(s.layers, -1), append(s.ids, ""), append(s.epochs, 0)
				continue
			}
			epoch := d.nextEpoch()
			s.layers, s.ids, s.epochs = append(s.layers, d.top()), append(s.ids, d.changeID(epoch)), append(s.epochs, epoch)
			if err := d.freeze(); err != nil {
				return nil, &types.FileFault{File: err.Error()}
			}
			d.tracking = d.tracking && m.enabled(ctx)
		}
		m.activate(ctx) // a running VM tracks from the stun that this snapshot is
		m.snapshots = append(m.snapshots, s)
		l.refresh(ctx, m)
		return made, nil
	}).Run(ctx)
}

// RemoveSnapshotTask implements RemoveSnapshot_Task.
func (l *lab) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	m := l.machine(ctx, req.This)
	at := len(m.snapshots)
	for i, s := range m.snapshots {
		if s.ref == req.This {
			at = i
		}
	}
	gone := m.snapshots[at:min(at+1, len(m.snapshots))]
	if req.RemoveChildren {
		gone = m.snapshots[at:]
	}
	run := l.removeSnapshots(ctx, m, gone, req.Consolidate == nil || *req.Consolidate)
	return &methods.RemoveSnapshot_TaskBody{Res: &types.RemoveSnapshot_TaskResponse{Returnval: run}}
}

// RemoveAllSnapshotsTask implements RemoveAllSnapshots_Task.
func (l *lab) RemoveAllSnapshotsTask(ctx *simulator.Context, req *types.RemoveAllSnapshots_Task) soap.HasFault {
	m := l.machines[req.This]
	return &methods.RemoveAllSnapshots_TaskBody{Res: &types.RemoveAllSnapshots_TaskResponse{Returnval: l.removeSnapshots(ctx, m, m.snapshots, true)}}
}

func (l *lab) removeSnapshots(ctx *simulator.Context, m *machine, gone []*snapshot, consolidate bool) ref {
	gone = append([]*snapshot(nil), gone...)
	return simulator.CreateTask(simulated(ctx, m), "removeSnapshot", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if f := l.take(func(f *fault) bool { return f.Method == "RemoveSnapshot_Task" && f.Task }); f != nil {
			return nil, namedFault(f.Fault)
		}
		for i := len(gone) - 1; i >= 0; i-- { // newest first
			s := gone[i]
			x := ctx.Map.Get(s.ref).(*simulator.VirtualMachineSnapshot)
			simulated(ctx, m).LayoutEx.Snapshot = nil // the simulator would delete files by keys that are no longer theirs
			inner := x.RemoveSnapshotTask(ctx, &types.RemoveSnapshot_Task{This: s.ref})
			ctx.Map.Get(inner.(*methods.RemoveSnapshot_TaskBody).Res.Returnval).(*simulator.Task).Wait()
			for n, d := range m.disks {
				if s.layers[n] < 0 || !consolidate {
					continue
				}
				if err := d.merge(s.layers[n]); err != nil {
					return nil, &types.FileFault{File: err.Error()}
				}
				for _, other := range m.snapshots {
					if other.layers[n] > s.layers[n] {
						other.layers[n]--
					}
				}
			}
			rest := m.snapshots[:0]
			for _, other := range m.snapshots {
				if other != s {
					rest = append(rest, other)
				}
			}
			m.snapshots = rest
		}
		if old, _ := filepath.Glob(filepath.Join(l.dir, m.spec.Files, "*.vmsn")); len(m.snapshots) == 0 {
			for _, name := range old {
				_ = os.Remove(name)
			}
		}
		ctx.Update(simulated(ctx, m), []types.PropertyChange{{Name: "runtime.consolidationNeeded", Val: !consolidate}})
		l.refresh(ctx, m)
		return nil, nil
	}).Run(ctx)
}

// RevertToSnapshotTask is refused: a line of snapshots without branches is all that is simulated.
func (l *lab) RevertToSnapshotTask(*simulator.Context, *types.RevertToSnapshot_Task) soap.HasFault {
	return &methods.RevertToSnapshot_TaskBody{Fault_: simulator.Fault("not simulated", &types.NotSupported{})}
}

// ConsolidateVMDisksTask merges redo logs that no snapshot needs.
func (l *lab) ConsolidateVMDisksTask(ctx *simulator.Context, req *types.ConsolidateVMDisks_Task) soap.HasFault {
	m := l.machines[req.This]
	run := simulator.CreateTask(simulated(ctx, m), "consolidateVMDisks", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		for n, d := range m.disks {
			for top := d.top(); top > 0; top-- {
				needed := false
				for _, s := range m.snapshots {
					needed = needed || s.layers[n] == top-1
				}
				if !needed {
					if err := d.merge(top - 1); err != nil {
						return nil, &types.FileFault{File: err.Error()}
					}
					for _, s := range m.snapshots {
						if s.layers[n] >= top {
							s.layers[n]--
						}
					}
				}
			}
		}
		ctx.Update(simulated(ctx, m), []types.PropertyChange{{Name: "runtime.consolidationNeeded", Val: false}})
		l.refresh(ctx, m)
		return nil, nil
	}).Run(ctx)
	return &methods.ConsolidateVMDisks_TaskBody{Res: &types.ConsolidateVMDisks_TaskResponse{Returnval: run}}
}

// QueryChangedDiskAreas answers in pages: at most options.cbtPage areas and options.cbtWindow bytes in one answer.
func (l *lab) QueryChangedDiskAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) soap.HasFault {
	refuse := func(message string, f types.BaseMethodFault) soap.HasFault {
		return &methods.QueryChangedDiskAreasBody{Fault_: simulator.Fault(message, f)}
	}
	wrong := func(what string) soap.HasFault {
		return refuse("A specified parameter was not correct: "+what, &types.InvalidArgument{InvalidProperty: what})
	}
	m := l.machines[req.This]
	n := -1
	for i, d := range m.disks {
		if d.key == req.DeviceKey {
			n = i
		}
	}
	if n < 0 {
		return wrong("deviceKey")
	}
	d := m.disks[n]
	top, upTo := d.top(), d.epoch()
	if req.Snapshot != nil {
		top = -1
		for _, s := range m.snapshots {
			if s.ref == *req.Snapshot {
				top, upTo = s.layers[n], s.epochs[n]
			}
		}
		if top < 0 {
			return refuse("", &types.ManagedObjectNotFound{Obj: *req.Snapshot})
		}
	}
	if req.StartOffset < 0 || req.StartOffset >= d.capacity {
		return wrong("startOffset")
	}
	lost := func() soap.HasFault {
		file := fmt.Sprintf("/vmfs/volumes/%s/%s", l.datastore, d.layers[top].descriptor)
		return refuse("Error caused by file "+file, &types.FileFault{File: file})
	}
	if !d.tracking || upTo == 0 {
		return lost()
	}
	after := -1 // everything allocated
	if req.ChangeId != "*" {
		id, number, _ := strings.Cut(req.ChangeId, "/")
		var err error
		if after, err = strconv.Atoi(number); err != nil || len(id) != len(d.trackID) {
			return wrong("changeId")
		}
		if id != d.trackID || after > upTo {
			return lost()
		}
	}
	info := types.DiskChangeInfo{StartOffset: req.StartOffset}
	end := min(req.StartOffset+l.options.cbtWindow, d.capacity)
	p := make([]byte, block)
	for at := req.StartOffset / block * block; at < end; at += block {
		size := min(block, d.capacity-at)
		hit := after >= 0 && d.dirty(at/block, after, upTo)
		if after < 0 {
			if err := d.read(p[:size], at, top); err != nil {
				return lost()
			}
			hit = !isZero(p[:size])
		}
		if !hit {
			continue
		}
		if last := len(info.ChangedArea) - 1; last >= 0 && info.ChangedArea[last].Start+info.ChangedArea[last].Length == at {
			info.ChangedArea[last].Length += size
			continue
		}
		if len(info.ChangedArea) == l.options.cbtPage {
			end = at // the page is full
			break
		}
		info.ChangedArea = append(info.ChangedArea, types.DiskChangeExtent{Start: at, Length: size})
	}
	info.Length = end - req.StartOffset
	return &methods.QueryChangedDiskAreasBody{Res: &types.QueryChangedDiskAreasResponse{Returnval: info}}
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// AcquireGenericServiceTicket gives a ticket for one GET of one URL (cookie vmware_cgi_ticket).
func (l *lab) AcquireGenericServiceTicket(_ *simulator.Context, req *types.AcquireGenericServiceTicket) soap.HasFault {
	ticket := uuid.NewString()
	if spec, ok := req.Spec.(*types.SessionManagerHttpServiceRequestSpec); ok {
		l.mu.Lock()
		l.tickets[ticket] = spec.Url
		l.mu.Unlock()
	}
	return &methods.AcquireGenericServiceTicketBody{Res: &types.AcquireGenericServiceTicketResponse{
		Returnval: types.SessionManagerGenericServiceTicket{Id: ticket, HostName: l.options.address}}}
}
