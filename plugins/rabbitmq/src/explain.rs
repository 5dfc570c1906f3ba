//! Explains lapin's errors in one plain line without secrets.

use std::io::ErrorKind as IoErrorKind;

use jackfield_plugin_api::Outcome;
use lapin::{
    Error, ErrorKind,
    protocol::{
        AMQPError,
        AMQPErrorKind::{self, Hard, Soft},
        AMQPHardError, AMQPSoftError,
    },
};

use crate::{address::Address, stream::plain};

/// The reason of a failure at the broker, in one plain line without secrets.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) why: String,
    /// Whether the broker has refused this user.
    pub(crate) refused: bool,
}

impl Trouble {
    pub(crate) const fn new(why: String) -> Self {
        Self { why, refused: false }
    }

    pub(crate) fn of(error: &Error, address: &Address) -> Self {
        Self { why: explain(error, address), refused: is_refused(error) }
    }

    /// The outcome of events that were not sent for this reason.
    pub(crate) fn outcome(&self) -> Outcome {
        let why = self.why.clone();
        if self.refused { Outcome::refused(why) } else { Outcome::retry(why) }
    }

    /// An error before the login was accepted, with its possible cause.
    pub(crate) fn of_opening(error: &Error, address: &Address, shows_certificate: bool) -> Self {
        let mut trouble = Self::of(error, address);
        if is_cut(error) && !address.tls {
            trouble.why.push_str("; a port for TLS needs amqps://");
        } else if is_cut(error) && address.user.is_empty() {
            trouble.why.push_str(
                "; a broker without logins by certificate ends it so: it needs its plugin rabbitmq_auth_mechanism_ssl, \
                 and `auth_mechanisms.1 = EXTERNAL` in rabbitmq.conf",
            );
        } else if is_cut(error) && !shows_certificate {
            trouble.why.push_str(
                "; a broker that wants a client certificate ends it so: tls.cert_file and tls.key_file",
            );
        }
        trouble
    }
}

/// Whether the other side has ended the connection without a message.
fn is_cut(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::IOError(error) if matches!(
        error.kind(),
        IoErrorKind::ConnectionReset
            | IoErrorKind::ConnectionAborted
            | IoErrorKind::BrokenPipe
            | IoErrorKind::UnexpectedEof
    ))
}

/// An error of the connection to `address` or of a channel on it.
pub(crate) fn explain(error: &Error, address: &Address) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => protocol(error, address),
        ErrorKind::IOError(error) | ErrorKind::RuntimeShutdownError(error) => {
            format!("the connection to {address} was lost: {}", plain(error, address))
        }
        ErrorKind::MissingHeartbeatError => format!("the connection to {address} was lost: no heartbeat"),
        ErrorKind::InvalidConnectionState(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::InvalidChannel(_) => {
            format!("the connection to {address} was lost")
        }
        ErrorKind::ParsingError(_) if address.tls => {
            format!("the server at {address} does not speak AMQP; is it the right port?")
        }
        ErrorKind::ParsingError(_) => format!(
            "the server at {address} does not speak AMQP; is it the right port? A port for TLS needs amqps://"
        ),
        ErrorKind::InvalidProtocolVersion(version) => {
            format!("{address} speaks AMQP {version}; expected 0-9-1")
        }
        ErrorKind::ChannelsLimitReached => format!("{address} allows no more channels on a connection"),
        other => format!("{address}: {}", address.clean(&format!("{other:?}"))),
    }
}

/// Kind and text of an error that comes from the broker.
fn broker_error(error: &Error) -> Option<(&AMQPErrorKind, &str)> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    Some((error.kind(), error.get_message().as_str()))
}

/// Whether an error says that an exchange or a queue is not there.
pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(broker_error(error), Some((Soft(AMQPSoftError::NOTFOUND), _)))
}

/// Whether an error says that a frame came for a channel that the broker had already closed. The reason of that close
/// is the cause. Frames of a batch that were already sent make the broker end the connection then.
pub(crate) fn is_aftermath(error: &Error) -> bool {
    matches!(broker_error(error), Some((Hard(AMQPHardError::CHANNELERROR), _)))
}

/// Whether the broker refuses this user.
fn is_refused(error: &Error) -> bool {
    let kind = broker_error(error).map(|(kind, _)| kind);
    matches!(kind, Some(Soft(AMQPSoftError::ACCESSREFUSED) | Hard(AMQPHardError::NOTALLOWED)))
}

/// The outcome of events after an error, with `why` as the reason. Only an error about the size of a message is about
/// the events. A missing permission, a missing exchange or other arguments than declared would stop other events, too, so
/// the events wait. A permission may be for some routing keys of a topic exchange only; the broker does not say which
/// event it has refused, and an event with another key would wait behind it.
pub(crate) fn outcome(error: &Error, why: String) -> Outcome {
    match broker_error(error) {
        Some((Soft(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::CONTENTTOOLARGE), text))
            if text.contains("message size") =>
        {
            Outcome::too_large(why)
        }
        Some((Soft(AMQPSoftError::NOTFOUND | AMQPSoftError::PRECONDITIONFAILED), _)) => Outcome::refused(why),
        _ if is_refused(error) => Outcome::refused(why),
        _ => Outcome::retry(why),
    }
}

fn protocol(error: &AMQPError, address: &Address) -> String {
    let message = error.get_message().as_str();
    let said = address.clean(message);
    let (user, vhost) = (address.shown_user(), &address.vhost);
    match error.kind() {
        Soft(AMQPSoftError::ACCESSREFUSED) if message.contains("Login was refused") => {
            format!("access refused for {user} on vhost `{vhost}`: the user name or the password is wrong")
        }
        Soft(AMQPSoftError::ACCESSREFUSED) | Hard(AMQPHardError::NOTALLOWED) => {
            // A slash at the end of a URL means nothing elsewhere. Here it is the virtual host without a name.
            let slash = if vhost.is_empty() {
                "; the one named / is written %2f, or left out with its slash"
            } else {
                ""
            };
            format!("access refused for {user} on vhost `{vhost}`: {said}{slash}")
        }
        Hard(AMQPHardError::CONNECTIONFORCED) => {
            format!("{address} closed the connection: {said}")
        }
        _ => format!("the broker says: {said}"),
    }
}
