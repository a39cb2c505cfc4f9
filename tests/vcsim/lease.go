package main

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// An export lease: initializing, then ready, then dead unless progress is reported in time. Its files are sent as they are made, so
// without a length, and from the beginning only.

type lease struct {
	mo.HttpNfcLease
	lab      *lab
	ctx      *simulator.Context
	vm       *machine
	id       string
	files    map[string]func(io.Writer) (int64, error)
	disks    map[string]*disk
	keys     map[string]string
	manifest []types.HttpNfcLeaseManifestEntry
	watchdog *time.Timer
	dead     chan struct{}
}

// ExportVm leases a VM that is off.
func (l *lab) ExportVm(ctx *simulator.Context, req *types.ExportVm) soap.HasFault {
	m := l.machines[req.This]
	if state := simulated(ctx, m).Runtime.PowerState; state != types.VirtualMachinePowerStatePoweredOff {
		return &methods.ExportVmBody{Fault_: simulator.Fault("", &types.InvalidPowerState{ExistingState: state, RequestedState: types.VirtualMachinePowerStatePoweredOff})}
	}
	m.exporting = true
	return &methods.ExportVmBody{Res: &types.ExportVmResponse{Returnval: l.lease(ctx, m, func(i int) int { return m.disks[i].top() })}}
}

// ExportSnapshot leases a snapshot's disks; the VM may run.
func (l *lab) ExportSnapshot(ctx *simulator.Context, req *types.ExportSnapshot) soap.HasFault {
	m := l.machine(ctx, req.This)
	for _, s := range m.snapshots {
		if s.ref == req.This {
			return &methods.ExportSnapshotBody{Res: &types.ExportSnapshotResponse{Returnval: l.lease(ctx, m, func(i int) int { return max(s.layers[i], 0) })}}
		}
	}
	return &methods.ExportSnapshotBody{Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: req.This})}
}

func (l *lab) lease(ctx *simulator.Context, m *machine, top func(int) int) ref {
	x := &lease{lab: l, ctx: ctx, vm: m, id: uuid.NewString(), files: map[string]func(io.Writer) (int64, error){}, disks: map[string]*disk{}, keys: map[string]string{}, dead: make(chan struct{})}
	x.Self = ref{Type: "HttpNfcLease", Value: fmt.Sprintf("session[%s]%s", ctx.Session.Key, x.id)}
	x.State = types.HttpNfcLeaseStateInitializing
	x.Capabilities = types.HttpNfcLeaseCapabilities{PullModeSupported: true}
	info := &types.HttpNfcLeaseInfo{Lease: x.Self, Entity: m.ref, LeaseTimeout: int32(l.options.leaseTimeout.Seconds())}
	host := l.options.address
	if l.options.esx {
		host = "*" // the client puts the name it logged in to here
	}
	add := func(name, key string, isDisk bool, size int64) {
		x.keys[name] = key
		info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{Key: key, ImportKey: key, TargetId: name, Disk: &isDisk, FileSize: size,
			Url: fmt.Sprintf("https://%s/nfc/%s/%s", host, x.id, name), SslThumbprint: l.options.sha1})
	}
	for i, d := range m.disks {
		name, at := fmt.Sprintf("disk-%d.vmdk", i), top(i)
		x.disks[name] = d
		x.files[name] = func(w io.Writer) (int64, error) {
			return streamOptimized(w, d.capacity, func(p []byte, offset int64) error { return d.read(p, offset, at) })
		}
		info.TotalDiskCapacityInKB += d.capacity >> 10
		add(name, fmt.Sprintf("/%s/%s", m.ref.Value, d.bus), true, 0)
	}
	nvram := filepath.Join(l.dir, m.spec.Files, m.spec.Files+".nvram")
	x.files[m.spec.Name+".nvram"] = func(w io.Writer) (int64, error) {
		text, err := os.ReadFile(nvram)
		if err == nil {
			_, err = w.Write(text)
		}
		return int64(len(text)), err
	}
	add(m.spec.Name+".nvram", fmt.Sprintf("/%s/nvram", m.ref.Value), false, 0)
	ctx.Map.Put(x)
	l.mu.Lock()
	l.leases[x.id] = x
	l.mu.Unlock()
	x.watchdog = time.AfterFunc(l.options.leaseTimeout, func() {
		x.end(&types.LocalizedMethodFault{Fault: &types.Timedout{}, LocalizedMessage: "The operation timed out."})
	})
	time.AfterFunc(200*time.Millisecond, func() {
		x.update(types.PropertyChange{Name: "info", Val: info}, types.PropertyChange{Name: "initializeProgress", Val: int32(100)},
			types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateReady})
	})
	return x.Self
}

func (x *lease) update(changes ...types.PropertyChange) {
	ctx := *x.ctx
	ctx.Map.AtomicUpdate(&ctx, x, changes)
}

// end closes the lease and frees the VM; with a fault it stays to be read, in state error.
func (x *lease) end(fault *types.LocalizedMethodFault) {
	x.lab.mu.Lock()
	if x.lab.leases[x.id] == nil {
		x.lab.mu.Unlock()
		return
	}
	delete(x.lab.leases, x.id)
	x.vm.exporting = false
	close(x.dead)
	x.watchdog.Stop()
	x.lab.mu.Unlock()
	if fault != nil {
		x.update(types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateError}, types.PropertyChange{Name: "error", Val: fault})
	}
}

// HttpNfcLeaseProgress keeps the lease alive.
func (x *lease) HttpNfcLeaseProgress(_ *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	if x.State != types.HttpNfcLeaseStateReady {
		return &methods.HttpNfcLeaseProgressBody{Fault_: simulator.Fault("", &types.InvalidState{})}
	}
	x.TransferProgress = req.Percent
	x.watchdog.Reset(x.lab.options.leaseTimeout)
	return &methods.HttpNfcLeaseProgressBody{Res: &types.HttpNfcLeaseProgressResponse{}}
}

// HttpNfcLeaseGetManifest lists the files that were sent whole.
func (x *lease) HttpNfcLeaseGetManifest(*simulator.Context, *types.HttpNfcLeaseGetManifest) soap.HasFault {
	x.lab.mu.Lock()
	defer x.lab.mu.Unlock()
	return &methods.HttpNfcLeaseGetManifestBody{Res: &types.HttpNfcLeaseGetManifestResponse{Returnval: x.manifest}}
}

// HttpNfcLeaseComplete ends the lease.
func (x *lease) HttpNfcLeaseComplete(ctx *simulator.Context, req *types.HttpNfcLeaseComplete) soap.HasFault {
	if x.State != types.HttpNfcLeaseStateReady {
		return &methods.HttpNfcLeaseCompleteBody{Fault_: simulator.Fault("", &types.InvalidState{})}
	}
	x.end(nil)
	ctx.Map.Remove(ctx, req.This)
	return &methods.HttpNfcLeaseCompleteBody{Res: &types.HttpNfcLeaseCompleteResponse{}}
}

// HttpNfcLeaseAbort ends the lease, too.
func (x *lease) HttpNfcLeaseAbort(ctx *simulator.Context, req *types.HttpNfcLeaseAbort) soap.HasFault {
	x.end(nil)
	ctx.Map.Remove(ctx, req.This)
	return &methods.HttpNfcLeaseAbortBody{Res: &types.HttpNfcLeaseAbortResponse{}}
}

// mortal fails when the lease dies.
type mortal struct {
	io.Writer
	dead chan struct{}
}

func (m mortal) Write(p []byte) (int, error) {
	select {
	case <-m.dead:
		return 0, io.ErrClosedPipe
	default:
		return m.Writer.Write(p)
	}
}

func (l *lab) serveNFC(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.TrimPrefix(r.URL.Path, "/nfc/"), "/")
	l.mu.Lock()
	x := l.leases[part[0]]
	l.mu.Unlock()
	if x == nil || len(part) != 2 || x.files[part[1]] == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if r.Header.Get("Range") != "" && l.options.nfcRange == "refuse" {
		w.WriteHeader(http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	d := x.disks[part[1]]
	if d != nil && d.kept != nil {
		if _, err := (mortal{w, x.dead}).Write(d.kept.content); err != nil {
			panic(http.ErrAbortHandler)
		}
		x.sent(d.kept.entry)
		return
	}
	sum1, sum256, size := sha1.New(), sha256.New(), &counter{w: mortal{w, x.dead}}
	out, content := io.MultiWriter(size, sum1, sum256), new(bytes.Buffer)
	keep := d != nil && l.options.keepStreams
	if keep {
		out = io.MultiWriter(out, content)
	}
	populated, err := x.files[part[1]](out)
	if err != nil {
		panic(http.ErrAbortHandler) // cut the connection: no length was promised, so only the missing last chunk tells
	}
	entry := types.HttpNfcLeaseManifestEntry{Key: x.keys[part[1]], Size: size.n, Sha1: fmt.Sprintf("%x", sum1.Sum(nil)), ChecksumType: "sha256", Checksum: fmt.Sprintf("%x", sum256.Sum(nil)), PopulatedSize: populated}
	if d != nil {
		entry.Disk, entry.Capacity = true, d.capacity
	}
	if keep {
		d.kept = &keptStream{content.Bytes(), entry}
	}
	x.sent(entry)
}

// keptStream is what was sent of a disk, with its entry in the manifest: a benchmark of clients does not wait for the lab's compression.
type keptStream struct {
	content []byte
	entry   types.HttpNfcLeaseManifestEntry
}

func (x *lease) sent(entry types.HttpNfcLeaseManifestEntry) {
	x.lab.mu.Lock()
	defer x.lab.mu.Unlock()
	x.manifest = append(x.manifest, entry)
}

var envelope = template.Must(template.New("ovf").Parse(`<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>{{range .Disks}}
    <File ovf:id="file{{.N}}" ovf:href="{{html .Href}}" ovf:size="{{.Size}}"/>{{end}}
  </References>
  <DiskSection><Info>Disks</Info>{{range .Disks}}
    <Disk ovf:diskId="vmdisk{{.N}}" ovf:fileRef="file{{.N}}" ovf:capacity="{{.Capacity}}" ovf:capacityAllocationUnits="byte" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>{{end}}
  </DiskSection>
  <NetworkSection><Info>Networks</Info>{{range .Networks}}
    <Network ovf:name="{{html .}}"><Description>{{html .}}</Description></Network>{{end}}
  </NetworkSection>
  <VirtualSystem ovf:id="{{html .Name}}"><Info>A virtual machine</Info><Name>{{html .Name}}</Name>
    <OperatingSystemSection ovf:id="1" vmw:osType="{{.Guest}}"><Info>Guest</Info></OperatingSystemSection>
    <VirtualHardwareSection><Info>Hardware</Info>
      <System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType></System>
      <Item><rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits><rasd:ElementName>CPU</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>{{.CPUs}}</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>Memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>{{.MemoryMB}}</rasd:VirtualQuantity></Item>{{range .Controllers}}
      <Item><rasd:Address>{{.Bus}}</rasd:Address><rasd:ElementName>{{.Name}}</rasd:ElementName><rasd:InstanceID>{{.ID}}</rasd:InstanceID>{{with .SubType}}<rasd:ResourceSubType>{{.}}</rasd:ResourceSubType>{{end}}<rasd:ResourceType>{{.Type}}</rasd:ResourceType></Item>{{end}}{{range .Disks}}
      <Item><rasd:AddressOnParent>{{.Unit}}</rasd:AddressOnParent><rasd:ElementName>Hard disk {{.N}}</rasd:ElementName><rasd:HostResource>ovf:/disk/vmdisk{{.N}}</rasd:HostResource><rasd:InstanceID>{{.ID}}</rasd:InstanceID><rasd:Parent>{{.Parent}}</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>{{end}}{{range .NICs}}
      <Item>{{with .MAC}}<rasd:Address>{{.}}</rasd:Address>{{end}}<rasd:Connection>{{html .Network}}</rasd:Connection><rasd:ElementName>NIC</rasd:ElementName><rasd:InstanceID>{{.ID}}</rasd:InstanceID><rasd:ResourceSubType>{{.Model}}</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>{{end}}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{{.Firmware}}"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="{{.SecureBoot}}"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`))

var controllerKinds = map[string][2]string{"ide": {"5", ""}, "pvscsi": {"6", "VirtualSCSI"}, "lsilogic": {"6", "lsilogic"}, "lsilogic-sas": {"6", "lsilogicsas"},
	"buslogic": {"6", "buslogic"}, "sata": {"20", "vmware.sata.ahci"}, "nvme": {"20", "vmware.nvme.controller"}}

// CreateDescriptor implements OvfManager.CreateDescriptor for the files that a client says it has.
func (l *lab) CreateDescriptor(ctx *simulator.Context, req *types.CreateDescriptor) soap.HasFault {
	m := l.machine(ctx, req.Obj)
	if m == nil {
		return &methods.CreateDescriptorBody{Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: req.Obj})}
	}
	type dict = map[string]any
	var disks, controllers, nics []dict
	var networks []string
	ids := map[string]int{}
	for i, spec := range m.spec.Disks {
		name := fmt.Sprintf("%s%d", spec.Controller, spec.Bus)
		if ids[name] == 0 {
			ids[name] = 10 + len(ids)
			kind := controllerKinds[spec.Controller]
			controllers = append(controllers, dict{"Bus": spec.Bus, "Name": name, "ID": ids[name], "Type": kind[0], "SubType": kind[1]})
		}
		for _, f := range req.Cdp.OvfFiles {
			if f.DeviceId == fmt.Sprintf("/%s/%s", m.ref.Value, m.disks[i].bus) {
				disks = append(disks, dict{"N": i + 1, "Href": f.Path, "Size": f.Size, "Capacity": m.disks[i].capacity, "Unit": spec.Unit, "Parent": ids[name], "ID": 100 + i})
			}
		}
	}
	for i, spec := range m.spec.NICs {
		network := cmpOr(spec.Network, "VM Network")
		networks = append(networks, network)
		nics = append(nics, dict{"MAC": spec.MAC, "Network": network, "Model": spec.Model, "ID": 200 + i})
	}
	var text strings.Builder
	_ = envelope.Execute(&text, dict{"Name": cmpOr(req.Cdp.Name, m.spec.Name), "Guest": m.spec.GuestID, "CPUs": max(m.spec.CPUs, 1), "MemoryMB": max(m.spec.MemoryMB, 512), "Firmware": cmpOr(m.spec.Firmware, "bios"),
		"SecureBoot": m.spec.SecureBoot, "Disks": disks, "Controllers": controllers, "NICs": nics, "Networks": networks})
	return &methods.CreateDescriptorBody{Res: &types.CreateDescriptorResponse{Returnval: types.OvfCreateDescriptorResult{OvfDescriptor: text.String()}}}
}
