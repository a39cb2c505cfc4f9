//! Somebody in a VLAN of the guest's network, which QEMU's own network knows nothing of: asks for addresses and sends echo requests, frame by
//! frame, over a datagram socket that carries the frames of a card.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x77, 0, 1];
const BROADCAST: [u8; 6] = [0xff; 6];
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const PATIENCE: Duration = Duration::from_secs(60);

/// A member of a VLAN.
pub(crate) struct Peer {
    socket: UdpSocket,
    guest: u16,
}

impl Peer {
    /// Takes two ports: its own, and one for the guest's card.
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let guest = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { socket, guest }
    }

    /// What makes it the other end of a card's wire, for QEMU's `-netdev`.
    pub fn netdev(&self, id: &str) -> String {
        let own = self.socket.local_addr().unwrap().port();
        format!("socket,id={id},udp=127.0.0.1:{own},localaddr=127.0.0.1:{}", self.guest)
    }

    /// Panics unless an address answers in a VLAN, to who has it and to an echo request.
    pub fn reaches(&self, address: Ipv4Addr, vlan: u16) {
        let [a, b, c, _] = address.octets();
        let own = Ipv4Addr::new(a, b, c, 1);
        let mut ask = vec![0, 1, 8, 0, 6, 4, 0, 1];
        ask.extend(MAC);
        ask.extend(own.octets());
        ask.extend([0; 6]);
        ask.extend(address.octets());
        let answer = self.answer(&frame(BROADCAST, vlan, ARP, &ask), |kind, data| {
            kind == ARP && data.len() >= 28 && data[6..8] == [0, 2] && data[14..18] == address.octets()
        });
        let answer = answer.unwrap_or_else(|| panic!("nobody has {address} in VLAN {vlan}"));
        let mac = answer[8..14].try_into().unwrap();

        let mut echo = vec![8, 0, 0, 0, 0x77, 0x77, 0, 1];
        let sum = checksum(&echo).to_be_bytes();
        echo[2..4].copy_from_slice(&sum);
        let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0];
        packet.extend(own.octets());
        packet.extend(address.octets());
        let sum = checksum(&packet).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
        packet.extend(echo);
        let answer = self.answer(&frame(mac, vlan, IPV4, &packet), |kind, data| {
            kind == IPV4
                && data.len() >= 28
                && data[12..16] == address.octets()
                && data[20] == 0
                && data[24..26] == [0x77; 2]
        });
        assert!(answer.is_some(), "{address} answers no echo request in VLAN {vlan}");
    }

    /// Sends a frame, again each second, until one of the same VLAN for us is what is waited for; gives its contents.
    fn answer(&self, ask: &[u8], is_it: impl Fn(u16, &[u8]) -> bool) -> Option<Vec<u8>> {
        let began = Instant::now();
        let mut frame = [0; 2048];
        while began.elapsed() < PATIENCE {
            // Refused while the guest starts.
            let _ = self.socket.send_to(ask, ("127.0.0.1", self.guest));
            while let Ok(length) = self.socket.recv(&mut frame) {
                let frame = &frame[..length];
                if length < 18 || frame[..6] != MAC || frame[12..16] != ask[12..16] {
                    continue;
                }
                if is_it(u16::from_be_bytes([frame[16], frame[17]]), &frame[18..]) {
                    return Some(frame[18..].to_vec());
                }
            }
        }
        None
    }
}

/// An Ethernet frame with the tag of a VLAN, as long as the shortest.
fn frame(to: [u8; 6], vlan: u16, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &MAC, &[0x81, 0], &vlan.to_be_bytes(), &kind.to_be_bytes(), data].concat();
    frame.resize(frame.len().max(64), 0);
    frame
}

/// The Internet's checksum of an even number of bytes.
fn checksum(data: &[u8]) -> u16 {
    let sum: u32 = data.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}
