//! Which addresses a fetch may connect to.
//!
//! Owns the judgement of one address and one host, as pure functions. Must not resolve or connect: the resolver asks here for
//! every address it is about to hand out, so what was judged is what is connected to, whatever the name service says later.
//!
//! IPv6 is refused unless it is known to be public, because new special ranges are taken from what is unassigned. Forms that
//! carry an IPv4 address (mapped, NAT64, 6to4) are judged by that address: the machine behind is the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use trunkline_model::host::HostPattern;

/// Where fetches may go.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Hosts that may be fetched from; empty means every host.
    pub allow_hosts: Vec<HostPattern>,
    /// Hosts that may have addresses inside private networks or on this machine. Addresses of metadata services stay refused.
    pub allow_private: Vec<HostPattern>,
}

/// Why an address is not on the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reserved {
    /// This machine.
    Loopback,
    /// A private network: RFC 1918, shared (CGNAT, RFC 6598), unique local (RFC 4193).
    Private,
    /// Services of a cloud about the machine itself, credentials among them; all link-local addresses count as such.
    Metadata,
    /// Several receivers at once, or all.
    Multicast,
    /// Reserved, for documentation, for benchmarks, or not assigned.
    Special,
}

impl Reserved {
    /// Whether an operator can open it by listing the host.
    const fn can_be_allowed(self) -> bool {
        matches!(self, Self::Loopback | Self::Private)
    }
}

impl Guard {
    /// Whether a host may be fetched from at all.
    #[must_use]
    pub fn allows_host(&self, host: &str) -> bool {
        self.allow_hosts.is_empty() || self.allow_hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Judges the addresses of a host: one that is refused refuses all, because such a mixture is either an attack or a mistake.
    ///
    /// # Errors
    /// The reason, as the end of a sentence for the log; it names the address.
    pub fn check(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), String> {
        let is_listed = self.allow_private.iter().any(|pattern| pattern.matches(host));
        for address in addresses {
            match reserved(address.ip()) {
                None => {}
                Some(reserved) if is_listed && reserved.can_be_allowed() => {}
                Some(reserved) => {
                    return Err(format!("the address {} is refused ({reserved:?})", address.ip()));
                }
            }
        }
        Ok(())
    }
}

/// Why an address is not on the public internet; `None` when it is (IANA special-purpose address registries).
fn reserved(address: IpAddr) -> Option<Reserved> {
    match address {
        IpAddr::V4(address) => reserved_v4(address),
        IpAddr::V6(address) => reserved_v6(address),
    }
}

fn reserved_v4(address: Ipv4Addr) -> Option<Reserved> {
    match address.octets() {
        // Link-local, with the metadata services of nearly every cloud; Azure's, Alibaba's and Oracle's are elsewhere.
        [169, 254, ..] | [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => {
            Some(Reserved::Metadata)
        }
        [127, ..] => Some(Reserved::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Reserved::Private),
        [224..=239, ..] | [255, 255, 255, 255] => Some(Reserved::Multicast),
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Some(Reserved::Special),
        _ => None,
    }
}

fn reserved_v6(address: Ipv6Addr) -> Option<Reserved> {
    if let Some(inner) = carried_v4(address) {
        return reserved_v4(inner);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Reserved::Loopback),
        [0xff00..=0xffff, ..] => Some(Reserved::Multicast),
        [0xfe80..=0xfebf, ..] => Some(Reserved::Metadata),
        _ if is_service_of_a_cloud(address) => Some(Reserved::Metadata),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Reserved::Private),
        // Protocol assignments (Teredo and ORCHID among them), documentation, segment routing.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some(Reserved::Special),
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Reserved::Special),
    }
}

/// Services of clouds that lie among unique local addresses, where `allow_private` would open them.
fn is_service_of_a_cloud(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Amazon's: metadata at `::254`, credentials of pods at `::23`, and others
        // (<https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html>).
        [0xfd00, 0x0ec2, ..] => true,
        // Google's, Oracle's, Alibaba's, Scaleway's and Akamai's metadata services
        // (<https://docs.cloud-init.io/en/latest/reference/datasources.html>).
        [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
        | [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
        | [0xfd00, 0x0100, 0, 0, 0, 0, 0x0100, 0x0200]
        | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]
        | [0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0x0001] => true,
        _ => false,
    }
}

/// The IPv4 address inside an IPv6 one: mapped and compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052), 6to4
/// (RFC 3056).
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(text: &str) -> Option<Reserved> {
        reserved(text.parse().expect("an address"))
    }

    /// Both ends of the ranges, and their addresses in other forms.
    const REFUSED: [(Reserved, &str); 5] = [
        (Reserved::Loopback, "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1"),
        (
            Reserved::Private,
            "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.1 100.64.0.0 100.127.255.255 fc00::1 fdff::1 \
             fd00::1 fd20:ce::253 fd00:ec1::254 fec0::1 ::ffff:10.1.2.3 64:ff9b::a00:1 2002:c0a8:101::1 ::10.0.0.1 ::ffff:0:10.0.0.1",
        ),
        (
            Reserved::Metadata,
            "169.254.169.254 169.254.0.0 168.63.129.16 100.100.100.200 192.0.0.192 fe80::1 febf::1 fd00:ec2::254 fd00:ec2::23 \
             fd20:ce::254 fd00:c1::a9fe:a9fe fd00:100::100:200 fd00:42::42 fd00:a9fe:a9fe::1 \
             ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::",
        ),
        (Reserved::Multicast, "224.0.0.1 239.255.255.255 255.255.255.255 ff02::1"),
        (
            Reserved::Special,
            "0.0.0.0 0.1.2.3 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 240.0.0.1 \
             254.255.255.255 :: 2001:db8::1 2001::1 2001:1ff::1 3fff::1 100::1 5f00::1 64:ff9b:1::1 4000::1 ::2:0:0:0",
        ),
    ];

    /// What lies next to those ranges.
    const PUBLIC: &str = "1.1.1.1 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 100.63.255.255 100.128.0.0 \
         126.255.255.255 128.0.0.0 168.63.129.17 169.253.255.255 169.255.0.0 198.17.255.255 198.20.0.0 223.255.255.255 \
         2606:4700::1111 2001:4860:4860::8888 2001:200::1 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1";

    #[test]
    fn every_special_range_is_refused_at_both_ends() {
        for (reason, addresses) in REFUSED {
            for address in addresses.split_whitespace() {
                assert_eq!(judge(address), Some(reason), "{address}");
            }
        }
        for address in PUBLIC.split_whitespace() {
            assert_eq!(judge(address), None, "{address}");
        }
    }

    #[test]
    fn a_listed_host_opens_private_networks_and_nothing_else() {
        let listed = |text| vec![HostPattern::parse(text).expect("a host")];
        let guard = Guard { allow_private: listed("*.intranet"), ..Guard::default() };
        let check = |host: &str, addresses: &[&str]| {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 80)).collect();
            guard.check(host, &addresses).is_ok()
        };
        assert!(check("files.intranet", &["10.0.0.1", "fd12::1"]) && check("files.intranet", &["127.0.0.1"]));
        assert!(!check("files.intranet", &["10.0.0.1", "169.254.169.254"]));
        assert!(!check("files.intranet", &["0.0.0.0"]) && !check("files.intranet", &["224.0.0.1"]));
        assert!(check("example.com", &["8.8.8.8"]) && !check("example.com", &["8.8.8.8", "10.0.0.1"]));
        let only = Guard { allow_hosts: listed("example.com"), ..Guard::default() };
        assert!(only.allows_host("example.com") && !only.allows_host("example.org"));
        assert!(Guard::default().allows_host("example.org"));
    }

    proptest! {
        #[test]
        fn no_way_of_carrying_an_address_changes_its_judgement(bits in any::<u32>()) {
            let inner = Ipv4Addr::from(bits);
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            // `::` and `::1` are themselves.
            prop_assume!(bits > 1);
            for outer in [
                inner.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(reserved(outer.into()), reserved(inner.into()), "{}", outer);
            }
        }

        #[test]
        fn what_the_standard_library_calls_internal_is_refused(address in any::<IpAddr>()) {
            let internal = match address {
                IpAddr::V4(address) => {
                    address.is_private() || address.is_loopback() || address.is_link_local()
                        || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                        || address.is_unspecified()
                }
                IpAddr::V6(address) => {
                    address.is_loopback() || address.is_unspecified() || address.is_multicast()
                        || address.is_unique_local() || address.is_unicast_link_local()
                }
            };
            prop_assert!(!internal || reserved(address).is_some());
        }

        #[test]
        fn no_list_opens_what_is_not_private(address in any::<IpAddr>()) {
            let everything = ["a"].map(|text| HostPattern::parse(text).expect("a host")).to_vec();
            let guard = Guard { allow_hosts: Vec::new(), allow_private: everything };
            let allowed = guard.check("a", &[SocketAddr::new(address, 80)]).is_ok();
            prop_assert_eq!(
                allowed,
                matches!(reserved(address), None | Some(Reserved::Loopback | Reserved::Private))
            );
        }
    }
}
