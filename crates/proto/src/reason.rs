//! Why: the one vocabulary of reasons that reply, log, metric, JSON and doctor share.
//!
//! A reason says what happened and what to do; which reply code carries it is decided where the
//! outcome is known. (A table of uniform rows: exempt from the length of files.)

use core::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $id:literal $describe:literal $explain:literal;)*) => {
        /// Why a decision fell as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = concat!($describe, ". ", $explain)] $name,)*
        }

        impl Reason {
            /// Every reason, for tables, metrics and tests.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable name in logs, metrics and JSON, such as `not-found`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// One line: what happened. The words of the reply.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$name => $describe,)* }
            }

            /// The cause and what to change.
            #[must_use]
            pub const fn explain(self) -> &'static str {
                match self { $(Self::$name => $explain,)* }
            }
        }
    };
}

// Alphabetical. The words of some replies are those that client test suites know.
reasons! {
    Aborted "aborted" "Transfer aborted via ABOR"
        "The client asked for it with ABOR. Nothing to change on the server.";
    AccountDisabled "account-disabled" "This account is disabled"
        "Enable it in the account file or the configuration.";
    AccountNeeded "account-needed" "The server wants an account beside user and password"
        "Some servers ask for ACCT behind PASS (RFC 959 §4.1.1). Give the account, or use one that needs none.";
    AcmePortTaken "acme-port-taken" "The port of the proof cannot be listened at"
        "ACME proves a domain on port 443 (tls-alpn-01) or 80 (http-01). Another program has it, or the right to low ports is missing. Choose the other kind with acme-challenge, or another port with acme-listen and forward to it.";
    AcmeRefused "acme-refused" "The authority did not issue the certificate"
        "Its own words stand beside it. Types connection, dns, tls and unauthorized mean that it did not find this server behind the domain: the DNS must lead here, and port 443 (tls-alpn-01) or 80 (http-01) must be open to the Internet. rateLimited: wait.";
    AcmeUnreachable "acme-unreachable" "The authority cannot be reached"
        "Outgoing HTTPS must be allowed, and the certificate of the ACME server must be from an authority that is trusted here; for a private one give acme-ca.";
    ActiveAddressRefused "active-address-refused" "The server refused the address of the active port"
        "The client is behind a NAT, and the address it can name is not the one that the server sees. Use passive mode or --mode punch, or name the address outside with --external-address.";
    ActiveNotConnected "active-not-connected" "The server did not connect to the active port in time"
        "A NAT or firewall on the client's side keeps connections from outside away. Use passive mode: --mode epsv or pasv.";
    ActiveOff "active-off" "Active mode is switched off on this server"
        "Use passive mode: EPSV or PASV.";
    AlgsUnknown "algs-unknown" "ALGS takes STATUS64, ENABLE64 or DISABLE64"
        "RFC 6384 §11: it asks a gateway from IPv6 to IPv4 whether it translates, or tells it to.";
    AllModesFailed "all-modes-failed" "No mode gave a data connection"
        "Each mode failed for a reason of its own, listed beside this one. Usually a firewall drops the server's passive ports and the client is behind a NAT.";
    AlpnRefused "alpn-refused" "The TLS peer speaks another protocol than FTP"
        "It named by ALPN only protocols such as HTTP: a confused client, a wrong port, or an attack that leads one to the other (ALPACA).";
    AlreadyLoggedIn "already-logged-in" "User already authenticated"
        "PASS came a second time. Send USER first to log in as somebody else.";
    ArgumentMissing "argument-missing" "Syntax error: command needs an argument"
        "The command was sent without the argument that its RFC demands. HELP with the verb shows the form.";
    ArgumentUnexpected "argument-unexpected" "Syntax error: command does not accept arguments"
        "The command takes none. HELP with the verb shows the form.";
    AsciiSizeTooBig "ascii-size-too-big" "SIZE not allowed in ASCII mode for a file this big"
        "In TYPE A the size is that of the converted text (RFC 3659 §4), which would need a scan of the whole file. Send TYPE I first, or raise ascii-size-limit.";
    BadArgument "bad-argument" "Invalid parameter"
        "The argument is not of the form that the command's RFC gives. HELP with the verb shows the form.";
    BadName "bad-name" "The name holds a byte that no path can hold"
        "CR, LF and NUL cannot be part of a path in FTP. Rename the file at its source.";
    BeyondEnd "beyond-end" "Restart position is > file size"
        "REST named an offset behind the end of the file. Ask SIZE in TYPE I and restart from there, or from 0.";
    Busy "busy" "The file is in use"
        "Another program or transfer holds it. Try again later.";
    CannotCombine "cannot-combine" "The files cannot be combined"
        "COMB takes a target and its parts, all of them ordinary files.";
    CertificateChanged "certificate-changed" "The certificate is another one than the server had before"
        "Either it was renewed: ask who runs the server, and compare the fingerprints; then remove the server's line from the file of known servers, and the new one is believed. Or somebody is between.";
    CertificateExpired "certificate-expired" "The certificate has expired"
        "Renew it; if it is new, check the clock of this machine.";
    CertificateInvalid "certificate-invalid" "The certificate is not valid"
        "See the message of TLS for what is wrong with it. CaUsedAsEndEntity: a server shows the certificate of an authority, as `openssl req -x509` makes them; give it with --ca, or its fingerprint with --pin.";
    CertificateMissing "certificate-missing" "A client certificate is required"
        "Give one with --certificate and --key, signed by an authority that the server trusts.";
    CertificateNotPinned "certificate-not-pinned" "The certificate is not the one whose fingerprint was given"
        "Either it was renewed: ask who runs the server for the new fingerprint; or somebody is between.";
    CertificateNotYetValid "certificate-not-yet-valid" "The certificate is not valid yet"
        "Check the clock of this machine.";
    CertificateOfAnother "certificate-of-another" "The certificate does not log in this account: send its password"
        "It was believed, and is not one of this account. Log in with the password.";
    CertificateRefusedByPeer "certificate-refused-by-peer" "The peer did not accept the certificate"
        "It does not trust the authority that signed it, or finds it expired or for another name.";
    CertificateRevoked "certificate-revoked" "The certificate was revoked"
        "Do not use it; get a new one.";
    CertificateSelfSigned "certificate-self-signed" "The certificate is signed by nobody but itself"
        "Let an authority sign it that the other end trusts.";
    CertificateUnknownIssuer "certificate-unknown-issuer" "The certificate is not signed by an authority that is trusted here"
        "Give the authority's certificate with --ca, or, for a self-signed one, its fingerprint with --pin. --trust-on-first-use believes it now, and no other later.";
    CertificateUnusable "certificate-unusable" "The new certificate cannot be used"
        "A file of certificate, key or client-ca has changed, and what is there now cannot be read, or key and certificate do not belong together. The server goes on with the old ones, and tries again when a file changes.";
    CertificateWrongName "certificate-wrong-name" "The certificate is for another name"
        "Use the name that it is for, or let the server have a certificate for this one.";
    ChmodMalformed "chmod-malformed" "Invalid SITE CHMOD format"
        "SITE CHMOD takes an octal mode, 000 to 777, and a path.";
    ChmodPathMissing "chmod-path-missing" "Syntax error: SITE CHMOD needs two arguments"
        "Give the mode and the path: SITE CHMOD 644 FILE.";
    ClearBehindAuth "clear-text-behind-auth" "Clear text came behind AUTH"
        "Bytes that arrive before the TLS handshake are never obeyed afterwards (CVE-2011-1575): somebody may have put them there. Wait for the 234 before the handshake.";
    ClearRefused "clear-refused" "The control connection stays protected"
        "CCC is switched off on this server; clear-commands allows it.";
    ClientForbidden "client-forbidden" "This gateway does not let you go there"
        "A rule of the gateway, deny-clients or allow-clients, is against this client, or against this client at that server. Change the rule, or come from elsewhere.";
    ControlClosing "control-closing" "The server closes the control connection"
        "It said so with 421. Its text tells why: an idle time, too many connections, or a shutdown.";
    ControlLost "control-lost" "The control connection was lost"
        "The client went away, or the network dropped the connection while data flowed. Log in again and resume; if it happens after a fixed time, a NAT or firewall drops idle connections: shorten the keep-alive.";
    ControlRefused "control-refused" "The server refused the command"
        "Its reply tells why. 4yz may pass later, 5yz will not.";
    ControlTimeout "idle-timeout" "Control connection timed out"
        "No command came for the idle time. Raise idle-timeout, or let the client send NOOP.";
    CrossDevice "cross-device" "Source and target lie on different file systems"
        "A rename cannot move between file systems. Copy the file, then delete the source.";
    DataAddressForeign "data-address-foreign" "The announced data address is not one to dial"
        "A public server announced a private, local or otherwise unusable address, or a low port of another host. It is never dialled, since a hostile server could aim the client at hosts of the client's own network (CVE-2020-8284). Set the public address in the server.";
    DataDialTimeout "data-dial-timeout" "The client's data port did not answer"
        "The server's connection to the address in PORT or EPRT was dropped without an answer: usually a NAT or firewall on the client's side. Use passive mode (EPSV or PASV).";
    DataDoubtful "data-doubtful" "The data connection cannot be told from another session's"
        "Several sessions of one address wait at the same port, or a log-in came at the same moment. Use TLS, and let the client resume its session; or widen passive-ports.";
    DataListenFailed "data-listen-failed" "No data port could be opened"
        "The system refused to listen on a passive port. See the log for the system's error; check passive-ports and the limit on open files.";
    DataNotConnected "data-not-connected" "Nobody connected to the passive port in time"
        "No connection from the client reached the announced port: a firewall on the way drops it, or the announced address is not reachable from the client. Open the passive port range and check public-address.";
    DataProtectionRequired "data-protection-required" "Data connections must be protected: send PROT P"
        "The server, or the account, allows no data in clear.";
    DataRefused "data-refused" "The client's data port refused the connection"
        "Nothing listens at the address in PORT or EPRT, or a NAT or firewall on the client's side rejects it. Use passive mode (EPSV or PASV).";
    DataReset "data-reset" "The data connection was reset"
        "The peer, or a box between, broke the connection before the end of data. Resume the transfer.";
    DataSetupMissing "data-setup-missing" "No data connection is set up: use EPSV, PASV, EPRT or PORT first"
        "Each transfer needs one of these commands before it.";
    DataStalled "data-stalled" "Data connection timed out: no byte moved"
        "The peer stopped reading or sending, or a box between drops the packets (a path MTU black hole stalls at the first full packet). Raise stall-timeout for very slow links.";
    DataUnclaimed "data-unclaimed" "No session waits for this data connection"
        "It came too late, or its session chose another way meanwhile. The client asks again with EPSV or PASV.";
    DataUnreachable "data-unreachable" "The client's data address cannot be reached"
        "The network reports no way to the address in PORT or EPRT. Use passive mode (EPSV or PASV).";
    DestinationMissing "destination-missing" "The gateway needs to know the server: log in as USER name@host"
        "It is a forward proxy: the server stands behind the user name, as in `USER ann@ftp.example.com`, or in `OPEN ftp.example.com` before it.";
    DestinationRefused "destination-refused" "The gateway lets nobody connect to this server"
        "Without --allow these are ports 21 and 990 of all addresses but the own host and link-local ones. Name networks, hosts or ports with --allow.";
    Draining "draining" "The gateway takes no new sessions"
        "It is being emptied by its owner (drain in its configuration). Try again later, or another gateway.";
    EprtMalformed "eprt-malformed" "Invalid EPRT format"
        "EPRT takes |protocol|address|port|, such as |1|192.0.2.7|50021| (RFC 2428 §2).";
    EpsvAll "epsv-all" "Not allowed after EPSV ALL"
        "The client promised with EPSV ALL to use EPSV alone (RFC 2428 §4). Log in again to use other modes.";
    EpsvAllTranslated "epsv-all-translated" "EPSV ALL cannot be promised behind this gateway"
        "The gateway asks the server for another mode than EPSV, since that speaks another family of addresses or a policy says so. Leave EPSV ALL out: EPSV works.";
    Exists "exists" "File exists"
        "Something of that name is there already. Choose another name, or delete it first.";
    ExternalAddressUnknown "external-address-unknown" "The own address, as the server sees it, is not known"
        "The client is behind a NAT and the server does not tell by STAT where it sees it. Give the address with --external-address.";
    FactsCount "facts-count" "Invalid number of arguments"
        "OPTS MLST takes one argument without blanks: the names of facts, each followed by a semicolon (RFC 3659 §7.9).";
    FactsInvalid "facts-invalid" "Invalid argument"
        "OPTS MLST takes the names of facts, each followed by a semicolon (RFC 3659 §7.9).";
    FinalReplyEarly "final-reply-early" "The server confirmed the upload before all of it was sent"
        "It closed or confirmed ahead of the end of data. Compare the size, or send again.";
    FinalReplyMissing "final-reply-missing" "The data ended, but the final reply did not come"
        "The control connection died, or the server never confirmed. The length was compared where it was known. If it happens after long transfers, a NAT or firewall drops idle connections.";
    FormNotScanned "form-not-scanned" "Uploads are scanned here, and in this form they could not be"
        "Compressed (MODE Z), in blocks or in EBCDIC, a scanner would not see what the file will hold. Use MODE S, STRU F and TYPE A or I.";
    ForeignAddress "foreign-address" "Rejected data connection to foreign address"
        "PORT and EPRT may name only the address that the control connection comes from (RFC 2577 §3). A client behind NAT should use EPSV or PASV, or send its public address; foreign-data widens the rule for FXP.";
    GlobNotSupported "glob-not-supported" "Globbing not supported"
        "Wildcards work in LIST, NLST and MLSD-less clients' mget, not in STAT.";
    HashUnknown "hash-unknown" "Unknown hash algorithm"
        "FEAT lists the algorithms behind HASH; OPTS HASH chooses one.";
    HelloUnreadable "hello-unreadable" "The first words of TLS cannot be read"
        "Where TLS passes and routes go by its name, the gateway reads the client's hello. What came is no TLS, or a hello that is longer than 16 KiB or wrong in itself.";
    HelpUnknown "help-unknown" "Unrecognized command"
        "HELP without an argument lists the verbs.";
    HostTooLate "host-too-late" "HOST must come before USER"
        "RFC 7151 §3: a host is chosen before the login.";
    HttpOnControl "http-on-control" "This is an FTP server, not HTTP"
        "A web browser or proxy speaks HTTP to the FTP port, or a page tries to abuse the port (ALPACA). The connection was closed.";
    IntoItself "into-itself" "A directory cannot be moved into itself"
        "Choose a target outside of it.";
    IsADirectory "is-a-directory" "Is a directory"
        "The command works on files. Use the directory commands, or name a file.";
    LanguageUnknown "language-unknown" "Only English is spoken here"
        "LANG EN, or LANG alone for the default.";
    LengthShort "length-short" "Fewer bytes came than were announced"
        "The server, or a box between, ended the data early. What came is kept: --resume continues it.";
    LineTooLong "line-too-long" "Command too long"
        "A command line may have 8 KiB. Shorten the path, or CWD into it step by step.";
    ListingLimit "listing-limit" "The listing was cut at the limit of entries"
        "The directory, or the pattern, has more entries than listing-limit allows. Narrow the pattern, or raise the limit.";
    LocalError "local-error" "Local error in processing"
        "The server's storage failed; its log has the system's error.";
    LoginDeadline "login-deadline" "No login in time"
        "A connection must log in within login-timeout.";
    LoginFailed "login-failed" "Authentication failed"
        "Unknown user, wrong password or no right to log in: which of them is not told. Check user and password; `twoport account list` shows the accounts.";
    LoginNeedsTls "login-needs-tls" "The server wants TLS before the login"
        "It refuses logins in clear. Use a client or an URL with TLS.";
    LoginRefused "login-refused" "The server refused the login"
        "Check user and password. Its reply may tell more: some servers refuse with the same code when they are full.";
    LoginRequired "login-required" "Log in with USER and PASS first"
        "The command needs a login.";
    LongAddress "long-address" "Supported address families are (4, 6); use EPRT or EPSV"
        "LPRT and LPSV (RFC 1639) are obsolete. EPRT and EPSV (RFC 2428) do the same.";
    MappingRefused "mapping-refused" "The router did not map the port"
        "It speaks PCP, NAT-PMP or UPnP and said no: mappings are switched off or forbidden for this host, or their table is full. See its settings, or forward the ports there by hand.";
    MechanismUnknown "mechanism-unknown" "Unknown security mechanism: use AUTH TLS"
        "RFC 4217 has one mechanism, TLS.";
    ModeUnknown "mode-unknown" "Unrecognized MODE type"
        "MODE takes S (stream).";
    ModeUnsupported "mode-unsupported" "Unimplemented MODE type"
        "Only MODE S (stream) is implemented, as in all of today's servers.";
    NameForbidden "name-forbidden" "This name may not pass the gateway"
        "A rule of the gateway, deny-name or allow-name, is against it. Use another name, or change the rule.";
    NameReserved "name-reserved" "Not enough privileges: the name is reserved for uploads in progress"
        "Names that begin as the server's temporary files do cannot be used. Choose another name.";
    NameTooLong "name-too-long" "File name too long"
        "A name may have 255 bytes and a path 4096.";
    NatChangesPorts "nat-changes-ports" "The NAT on the client's side changes ports"
        "The server sees the control connection come from another port than the client's own, so nobody can tell it the port of a data connection. Use passive mode, or a port that is forwarded: --external-address with --active-ports.";
    NetworkProtocol "network-protocol" "Network protocol not supported"
        "The family asked for is not that of the control connection. Use the protocol number in the reply.";
    NetworkProtocolUnknown "network-protocol-unknown" "Unknown network protocol"
        "RFC 2428 has two: 1 is IPv4, 2 is IPv6.";
    NoSpace "no-space" "No space left on the server"
        "The disk is full; nothing was kept. Free space and send again.";
    NoTransfer "no-transfer" "No transfer to abort"
        "ABOR came when nothing was being transferred.";
    NotADirectory "not-a-directory" "Not a directory"
        "A part of the path is a file. Check the path.";
    NotAPlainFile "not-a-plain-file" "Not a plain file"
        "Devices, pipes and sockets are never transferred.";
    NotEmpty "not-empty" "Directory not empty"
        "Delete what is in it first.";
    NotFound "not-found" "No such file or directory"
        "Nothing of that name is there (or the account may not know). Check the spelling and the case; LIST shows what is there.";
    NotFtp "not-ftp" "The peer does not speak FTP"
        "It greeted in another protocol. Check host and port: FTP usually is on port 21.";
    NotRetrievable "not-retrievable" "Is not retrievable"
        "The command works on existing plain files.";
    NotSupported "not-supported" "Not supported by this server's storage"
        "The file system cannot do it.";
    NulInLine "nul-in-line" "NUL byte in the command"
        "A command line is text; a NUL cannot be part of it. The rest of the line was dropped.";
    OptionUnknown "option-unknown" "Unsupported command for OPTS"
        "OPTS takes UTF8, MLST or HASH.";
    OutsideRoot "outside-root" "No such file or directory: the link leads out of the account's root"
        "By policy links that leave the root are not followed. Put the file below the root, or set links = \"follow\".";
    PassiveNeedsIpv4 "passive-needs-ipv4" "PASV cannot be used on an IPv6 connection: use EPSV"
        "PASV carries an IPv4 address only. EPSV works for both.";
    PassiveRangeFull "passive-range-full" "No free passive port"
        "Every port of the passive range is in use. Widen passive-ports, or lower the limits on sessions.";
    PassiveRefused "passive-refused" "The server's passive port refused the connection"
        "The announced port is not forwarded to the server, or its listener is gone already. Forward the server's passive range, the same ports outside as inside.";
    PassiveSilent "passive-silent" "The server's passive port did not answer"
        "A firewall drops the connection, at the server's side or at the client's. Open the server's passive range.";
    PassiveUnreachable "passive-unreachable" "The server's passive address cannot be reached"
        "The network reports no way to it. Check the address that the server announces.";
    PbszFirst "pbsz-first" "Send PBSZ 0 first"
        "RFC 4217 §8: PBSZ comes before PROT.";
    PermissionDenied "permission-denied" "Not enough privileges"
        "The account lacks the permission. Grant it in `permissions` of the account.";
    PortMalformed "port-malformed" "Invalid PORT format"
        "PORT takes h1,h2,h3,h4,p1,p2, six numbers from 0 to 255 (RFC 959 §4.1.2).";
    PortNeedsIpv4 "port-needs-ipv4" "PORT cannot be used on an IPv6 connection: use EPRT"
        "PORT carries an IPv4 address only. EPRT works for both.";
    PrivateAddress "private-address" "That address is of a private network and cannot be reached from here: use EPSV or PASV"
        "PORT or EPRT named an address behind the client's NAT. Passive mode needs none; or let the client announce its outer address. If the NAT forwards the ports, active-private = \"use-peer\" dials the NAT's address instead.";
    PrivilegedPort "privileged-port" "Can't connect over a privileged port"
        "Data ports below 1024 are refused, whatever listens there (RFC 2577 §3).";
    ProtectionAssumed "protection-assumed" "The server does not know PROT: data go under TLS as implicit TLS means it"
        "Nothing to change: old devices have implicit TLS without PBSZ and PROT. If their data are in clear after all, the data connection fails and nothing is sent; then use ftpes://.";
    ProtectionRefused "protection-refused" "The server does not protect data connections"
        "It refused PROT P. With --tls auto data go in clear; names and passwords are protected all the same.";
    ProtectionUnknown "protection-unknown" "Unknown level of protection: use PROT C or PROT P"
        "RFC 2228 §3 has the levels C, S, E and P.";
    ProtectionUnsupported "protection-unsupported" "TLS has no such level of protection: use PROT C or PROT P"
        "The levels S and E belong to other mechanisms.";
    ProxyHeaderMissing "proxy-header-missing" "The load balancer said nothing about its client"
        "A connection of trusted-proxies must begin with a PROXY header, and this one did not, or not in time. Let the load balancer send it on this port (HAProxy: send-proxy-v2 on the server line), or take its address out of trusted-proxies.";
    ProxyPassiveOnly "proxy-passive-only" "There is no active mode through a proxy"
        "The proxy lets nobody connect from outside. Use passive mode.";
    ProxyRefused "proxy-refused" "The proxy refuses the connection"
        "Its answer tells why: user or password, or a port that it does not allow. Many HTTP proxies allow CONNECT to port 443 only; a proxy for FTP must allow port 21 and the server's passive ports.";
    ProxyUnreachable "proxy-unreachable" "The proxy cannot be reached, or speaks another protocol"
        "Check --proxy, or the variables ftp_proxy and all_proxy: http:// is for HTTP CONNECT, socks5:// and socks5h:// for SOCKS5.";
    ProxyUntrusted "proxy-untrusted" "PROXY header from an address that is not trusted"
        "Whoever sends such a header could pretend to be any client. If it is your load balancer, add its address to trusted-proxies.";
    PunchNoRoom "punch-no-room" "No router between client and server answered for a packet that ended at it"
        "A packet that opens the client's NAT must end behind it and before the server. Either both are in one network, where plain active mode does, or no router reports: name the hop with --punch-ttl.";
    PunchNotMet "punch-not-met" "The server's connection did not come through the hole that was opened for it"
        "The server dials from another port than the one before its control port (vsftpd: connect_from_port_20=YES), or the NAT changes ports or allows no simultaneous open. Use passive mode, or forward a port: --external-address with --active-ports.";
    PunchReachedServer "punch-reached-server" "The packet that should only open the client's NAT came as far as the server"
        "The server refused it, and the NAT has closed again. Name a lower hop with --punch-ttl.";
    QuotaExceeded "quota-exceeded" "Quota exceeded"
        "The account or its owner on the system has used up its space. Delete files first.";
    RemoteChanged "remote-changed" "The remote file changed since the part was loaded"
        "Size or date differ, or cannot be compared. The transfer began anew.";
    RenameFirst "rename-first" "Bad sequence of commands: use RNFR first"
        "RNTO must follow an accepted RNFR at once (RFC 959 §4.1.3).";
    ReplyMalformed "reply-malformed" "The reply is not of the form that its command has"
        "The server, or a box between, garbled it. With --mode auto the next mode is tried.";
    ReplyMissing "reply-missing" "No reply came in time"
        "The server hangs, or a box between swallowed the command or the reply. Raise --timeout for a slow server.";
    ReplyTooLong "reply-too-long" "The reply is longer than a megabyte"
        "No server that works sends this.";
    RestBeforeAppend "rest-before-append" "Can't APPE while REST request is pending"
        "APPE writes behind the end of the file. Send REST 0, or use STOR.";
    RestBeforeUnique "rest-before-unique" "Can't STOU while REST request is pending"
        "STOU makes a new file, which has nothing to resume. Send REST 0, or use STOR.";
    RestInAscii "rest-in-ascii" "Resuming transfers not allowed in ASCII mode"
        "An offset into converted text means nothing to a file. Send TYPE I first.";
    RestartRefused "restart-refused" "The server cannot restart in the middle of a file"
        "It refused REST. The transfer begins anew without --resume.";
    RootNotRemovable "root-not-removable" "Can't remove root directory"
        "The account's own root stays where it is.";
    RootNotRenamable "root-not-renamable" "Can't rename home directory"
        "The account's own root stays where it is.";
    RouteUnknown "route-unknown" "No server is behind this name"
        "No route of the gateway fits the name of HOST, of the TLS handshake or of USER. Check the name, or add a route; one for `user:*` takes everybody.";
    RouterSilent "router-silent" "No router answers to PCP, NAT-PMP or UPnP"
        "Port mappings need a router that offers one of them; it is often switched off. Switch it on there, or forward the ports by hand and name the outer address.";
    ScanFailed "scan-failed" "The upload could not be scanned, and was not stored"
        "The scanner of the gateway cannot be reached, or ended without a verdict; the line `scanner` in the gateway's log has its words. Try again later. --scan-failure pass lets uploads through without a scan.";
    ScanTimeout "scan-timeout" "The scan of the upload took too long, and it was not stored"
        "The scanner of the gateway gave no verdict within --scan-timeout. Look at its load; or raise the limit.";
    ServerBusy "server-busy" "The server has too many connections"
        "Its own limit is reached. Try again later, or close other sessions.";
    ServerFull "server-full" "Too many connections"
        "The limit max-sessions is reached. Try again later, or raise it.";
    ServerFullForAddress "server-full-for-address" "Too many connections from the same IP address"
        "The limit max-sessions-per-ip is reached. Close other sessions, or raise it.";
    SessionDeadline "session-deadline" "The session has reached its longest duration"
        "The limit session-timeout is reached. Log in again.";
    ShuttingDown "shutting-down" "The server is shutting down"
        "An administrator stops or restarts it. Try again later.";
    SiteHelpUnknown "site-help-unknown" "Unrecognized SITE command"
        "SITE HELP without an argument lists what there is.";
    SiteUnknown "site-unknown" "SITE command not understood"
        "SITE HELP lists what there is.";
    SslRefused "auth-ssl-refused" "AUTH SSL is refused: use AUTH TLS"
        "AUTH SSL comes from a draft that never became an RFC, and leaves unclear whether data are protected.";
    StorageDenied "storage-denied" "Permission denied"
        "The system user that the server runs as may not do this. Change owner or mode of the file, or of its directory.";
    StrangerRefused "stranger-refused" "A stranger connected to the passive port and was closed"
        "The data connection must come from the address of the control connection. If this is the client, its connections leave through different addresses (a proxy, CGNAT, multi-homing).";
    StructureUnknown "structure-unknown" "Unrecognized STRU type"
        "STRU takes F (file).";
    StructureUnsupported "structure-unsupported" "Unimplemented STRU type"
        "Only STRU F (file) is implemented, as in all of today's servers.";
    TimeInvalid "time-invalid" "Invalid time format: give YYYYMMDDHHMMSS in UTC"
        "RFC 3659 §2.3 gives the form.";
    TlsAlready "tls-already" "The control connection is protected already"
        "AUTH is sent once.";
    TlsCipher "tls-cipher-mismatch" "No TLS cipher suite in common"
        "Both ends need AES-GCM or ChaCha20-Poly1305 with an ephemeral key exchange (ECDHE), as all have since 2012. Let the older end allow them.";
    TlsFailed "tls-handshake-failed" "The TLS handshake failed"
        "See the log for what TLS says: a peer that broke off, or one that speaks no TLS at all.";
    TlsFirst "tls-first" "Protect the control connection with AUTH TLS first"
        "The command has a meaning only under TLS.";
    TlsNotScanned "tls-not-scanned" "Uploads are scanned here: TLS cannot pass"
        "Under TLS that does not end at the gateway its scanner would see nothing. Give the gateway --certificate and --key; or log in without TLS.";
    TlsNotResumed "tls-not-resumed" "The data connection did not resume the TLS session of its control connection"
        "By that the server knows that both are the same client's. Let the client resume (twoport, curl, lftp and FileZilla do), or let the server not ask for it: require-reuse = \"prefer\" here, require_ssl_reuse=NO in vsftpd, TLSOptions NoSessionReuseRequired in ProFTPD. A server that gives nothing to resume and demands it serves nobody: ask who runs it.";
    TlsRefused "tls-refused" "The server refuses TLS"
        "It said no to AUTH TLS, or somebody between did. Nothing secret was sent. A server that knows only AUTH SSL is older than RFC 4217 and is not used so; it may have implicit TLS: ftps://. If clear text will do, use ftp:// with --tls auto.";
    TlsRequired "tls-required" "TLS is required: send AUTH TLS first"
        "The server, or the account, allows no login in clear.";
    TlsSilent "tls-handshake-timeout" "The TLS handshake did not end in time"
        "A box between drops packets, or the client waits for something else: it must begin the handshake after the 150.";
    TlsTruncated "tls-truncated" "The data ended without TLS's own end: they may be cut"
        "An end of data without close_notify can be an attacker's or a network's doing. Let the client close TLS properly.";
    TlsUnavailable "tls-unavailable" "TLS is not available on this server"
        "The server runs without TLS. Log in without it, or choose another server.";
    TlsVersion "tls-version-mismatch" "No TLS version in common"
        "TLS 1.2 and 1.3 are spoken; the other end knows only older ones, which are broken (RFC 8996), or --tls-version excludes what it has. Update it.";
    TooManyAttempts "too-many-attempts" "Authentication failed too often. Disconnecting"
        "login-attempts wrong passwords end a connection.";
    TooManyUnknown "too-many-unknown" "Too many unknown commands. Disconnecting"
        "The peer does not speak FTP.";
    TypeUnsupported "type-unsupported" "Unsupported type"
        "TYPE takes A, A N, I and L 8.";
    UnknownCommand "unknown-command" "Command not understood"
        "No RFC that this server follows has this verb. HELP lists what there is.";
    UpstreamDown "upstream-down" "The server fails its health checks"
        "It could not be reached, or greeted otherwise than with 220, as often as health-fall says. It gets no sessions until it answers again.";
    UpstreamUnreachable "upstream-unreachable" "The server behind this gateway cannot be reached"
        "It does not run, its name has no address, or a firewall is between. The gateway's log has what the system said; `--server` says where it is.";
    UpstreamUp "upstream-up" "The server answers its health checks again"
        "It gets sessions again.";
    UploadInParts "upload-in-parts" "Uploads are scanned here, and a part of a file cannot be"
        "APPE, REST before STOR, and COMB make a file of parts, none of which shows what the whole holds. Send the file whole. --scan-parts pass has each part scanned by itself.";
    UploadInfected "upload-infected" "The scanner found something in the upload, and it was not stored"
        "The gateway keeps from its servers what its scanner has a name for; the name stands behind this. Look at the file. If the scanner is wrong, its own lists are the place to say so.";
    UploadTooBig "upload-too-big" "The upload is bigger than what is scanned here, and was not stored"
        "The gateway holds an upload until it is scanned, and none beyond --scan-max-size. Send it in another way, or raise the limit if the scanner takes files of that size.";
    UserFirst "user-first" "Login with USER first"
        "PASS must follow USER (RFC 959 §4.1.1).";
    Utf8Always "utf8-always" "Always in UTF8 mode"
        "Names are bytes here, UTF-8 by convention; there is nothing to switch off.";
    VerbForbidden "verb-forbidden" "This command may not pass the gateway"
        "A rule of the gateway, deny-verb, is against it. Use another command, or change the rule.";
}

impl Reason {
    /// Whether it says that a TLS handshake failed, so that the connection never carried a byte.
    #[must_use]
    pub const fn is_of_handshake(self) -> bool {
        matches!(
            self,
            Self::AlpnRefused
                | Self::CertificateChanged
                | Self::CertificateExpired
                | Self::CertificateInvalid
                | Self::CertificateMissing
                | Self::CertificateNotPinned
                | Self::CertificateNotYetValid
                | Self::CertificateRefusedByPeer
                | Self::CertificateRevoked
                | Self::CertificateSelfSigned
                | Self::CertificateUnknownIssuer
                | Self::CertificateWrongName
                | Self::TlsCipher
                | Self::TlsFailed
                | Self::TlsNotResumed
                | Self::TlsSilent
                | Self::TlsVersion
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn ids_and_descriptions_are_unique_and_well_formed() {
        let ids: BTreeSet<_> = Reason::ALL.iter().map(|r| r.id()).collect();
        let texts: BTreeSet<_> = Reason::ALL.iter().map(|r| r.describe()).collect();
        assert_eq!((ids.len(), texts.len()), (Reason::ALL.len(), Reason::ALL.len()));
        for reason in Reason::ALL {
            assert!(
                reason.id().bytes().all(|b| b.is_ascii_lowercase() || b"-0123456789".contains(&b))
            );
            assert!(!reason.describe().ends_with('.'), "{reason}: the reply adds the full stop");
            assert!(reason.explain().ends_with('.'), "{reason}: an explanation is a sentence");
        }
    }
}
