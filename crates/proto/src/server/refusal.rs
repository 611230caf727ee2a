//! The map from a reason to the code of the reply that gives it.
//!
//! It is total: a new reason does not compile without a code.

use crate::code::Code;
use crate::reason::Reason;

/// The reply code with which a server gives this reason.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table: one line a reason")]
pub const fn code(reason: Reason) -> Code {
    use Reason as R;
    match reason {
        R::ClearBehindAuth
        | R::ClientForbidden
        | R::ControlTimeout
        | R::HttpOnControl
        | R::ProxyHeaderMissing
        | R::ProxyUntrusted
        | R::LoginDeadline
        | R::ServerFull
        | R::ServerFullForAddress
        | R::SessionDeadline
        | R::ShuttingDown
        | R::TooManyUnknown => Code::SERVICE_CLOSING,
        R::DataDialTimeout
        | R::DataDoubtful
        | R::DataListenFailed
        | R::DataNotConnected
        | R::DataRefused
        | R::DataSetupMissing
        | R::DataUnclaimed
        | R::DataUnreachable
        | R::PassiveRangeFull
        | R::StrangerRefused => Code::NO_DATA_CONNECTION,
        R::TlsNotResumed
        | R::TlsFailed
        | R::TlsSilent
        | R::TlsCipher
        | R::TlsVersion
        | R::AlpnRefused
        | R::CertificateExpired
        | R::CertificateInvalid
        | R::CertificateMissing
        | R::CertificateNotYetValid
        | R::CertificateRefusedByPeer
        | R::CertificateRevoked
        | R::CertificateSelfSigned
        | R::CertificateUnknownIssuer
        | R::CertificateWrongName => Code::DATA_SECURITY,
        R::CertificateOfAnother => Code::NEED_PASSWORD,
        R::DataProtectionRequired => Code::DATA_PROTECTION,
        R::TlsFirst => Code::UNPROTECTED,
        R::ClearRefused | R::TlsNotScanned => Code::POLICY,
        R::ProtectionUnsupported => Code::PROTECTION_UNKNOWN,
        R::Aborted | R::ControlLost | R::DataReset | R::DataStalled | R::TlsTruncated => {
            Code::TRANSFER_ABORTED
        }
        R::NoTransfer => Code::NO_TRANSFER,
        R::Busy | R::RestBeforeAppend | R::RestBeforeUnique => Code::FILE_BUSY,
        R::LocalError | R::ListingLimit => Code::LOCAL_ERROR,
        R::NoSpace => Code::NO_SPACE,
        R::LineTooLong | R::NulInLine | R::UnknownCommand => Code::UNKNOWN_COMMAND,
        R::ArgumentMissing
        | R::ArgumentUnexpected
        | R::BadArgument
        | R::ChmodMalformed
        | R::ChmodPathMissing
        | R::EprtMalformed
        | R::EpsvAll
        | R::FactsCount
        | R::FactsInvalid
        | R::ForeignAddress
        | R::HashUnknown
        | R::HelpUnknown
        | R::ModeUnknown
        | R::OptionUnknown
        | R::PortMalformed
        | R::PrivateAddress
        | R::PrivilegedPort
        | R::RestInAscii
        | R::SiteHelpUnknown
        | R::SiteUnknown
        | R::StructureUnknown
        | R::TimeInvalid => Code::BAD_ARGUMENT,
        R::ActiveOff | R::TlsUnavailable | R::VerbForbidden => Code::NOT_IMPLEMENTED,
        R::AlreadyLoggedIn
        | R::HostTooLate
        | R::RenameFirst
        | R::PbszFirst
        | R::TlsAlready
        | R::UserFirst => Code::BAD_SEQUENCE,
        R::AlgsUnknown
        | R::EpsvAllTranslated
        | R::FormNotScanned
        | R::LanguageUnknown
        | R::MechanismUnknown
        | R::ProtectionUnknown
        | R::SslRefused
        | R::ModeUnsupported
        | R::StructureUnsupported
        | R::TypeUnsupported
        | R::Utf8Always => Code::BAD_PARAMETER,
        R::LongAddress => Code::LONG_ADDRESS,
        R::NetworkProtocol | R::NetworkProtocolUnknown | R::PassiveNeedsIpv4 | R::PortNeedsIpv4 => {
            Code::NETWORK_PROTOCOL
        }
        R::AccountDisabled
        | R::LoginFailed
        | R::LoginRequired
        | R::TlsRequired
        | R::TooManyAttempts => Code::NOT_LOGGED_IN,
        R::QuotaExceeded | R::UploadTooBig => Code::OVER_QUOTA,
        R::BadName | R::NameTooLong | R::NameReserved => Code::BAD_NAME,
        R::BeyondEnd => Code::BAD_RESTART,
        R::AsciiSizeTooBig
        | R::CannotCombine
        | R::CrossDevice
        | R::Exists
        | R::GlobNotSupported
        | R::IntoItself
        | R::IsADirectory
        | R::NameForbidden
        | R::NotADirectory
        | R::NotAPlainFile
        | R::NotEmpty
        | R::NotFound
        | R::NotRetrievable
        | R::NotSupported
        | R::OutsideRoot
        | R::PermissionDenied
        | R::RootNotRemovable
        | R::RootNotRenamable
        | R::StorageDenied
        | R::UploadInParts
        | R::UploadInfected => Code::UNAVAILABLE,
        // What only a client says of a server, or a server's log, has no reply of its own.
        R::AccountNeeded
        | R::AcmePortTaken
        | R::AcmeRefused
        | R::AcmeUnreachable
        | R::ActiveAddressRefused
        | R::ActiveNotConnected
        | R::AllModesFailed
        | R::CertificateUnusable
        | R::ControlClosing
        | R::ControlRefused
        | R::DataAddressForeign
        | R::DestinationMissing
        | R::DestinationRefused
        | R::Draining
        | R::ExternalAddressUnknown
        | R::FinalReplyEarly
        | R::FinalReplyMissing
        | R::HelloUnreadable
        | R::LengthShort
        | R::LoginNeedsTls
        | R::LoginRefused
        | R::MappingRefused
        | R::NatChangesPorts
        | R::NotFtp
        | R::PassiveRefused
        | R::PassiveSilent
        | R::PassiveUnreachable
        | R::ProxyPassiveOnly
        | R::ProxyRefused
        | R::ProxyUnreachable
        | R::PunchNoRoom
        | R::PunchNotMet
        | R::PunchReachedServer
        | R::RemoteChanged
        | R::ReplyMalformed
        | R::ReplyMissing
        | R::ReplyTooLong
        | R::RestartRefused
        | R::RouteUnknown
        | R::RouterSilent
        | R::ScanFailed
        | R::ScanTimeout
        | R::ServerBusy
        | R::CertificateChanged
        | R::CertificateNotPinned
        | R::ProtectionAssumed
        | R::ProtectionRefused
        | R::TlsRefused
        | R::UpstreamDown
        | R::UpstreamUnreachable
        | R::UpstreamUp => Code::LOCAL_ERROR,
    }
}
