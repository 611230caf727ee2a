"""An ordinary client in each of the four modes: Python's ftplib, which dials what a server announces.

Its last line on standard error is `reason: ID`, where something failed.
"""

import ftplib
import socket
import ssl
import sys


class Failed(Exception):
    def __init__(self, reason, said):
        super().__init__(f"{said}\nreason: {reason}")


class Client(ftplib.FTP_TLS):
    implicit = False

    def connect(self, host, port, timeout):
        self.host, self.port, self.timeout = host, port, timeout
        self.sock = socket.create_connection((host, port), timeout)
        self.af = self.sock.family
        if self.implicit:
            self.sock = self.context.wrap_socket(self.sock, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def ntransfercmd(self, cmd, rest=None):
        data = self.active(cmd) if self.mode in ("eprt", "port") else self.passive(cmd)
        if self._prot_p:
            data = self.context.wrap_socket(data, server_hostname=self.host, session=self.sock.session)
        return data, None

    def passive(self, cmd):
        peer = self.sock.getpeername()
        if self.mode == "epsv":
            to = ftplib.parse229(self.sendcmd("EPSV"), peer)
        else:
            to = ftplib.parse227(self.sendcmd("PASV"))
        try:
            data = socket.create_connection(to[:2], self.timeout)
        except OSError as error:
            raise Failed(passive_reason(error, to[0] != peer[0]), f"{to[0]}:{to[1]}: {error}")
        self.begin(cmd, data, "data-not-connected")
        return data

    def active(self, cmd):
        own = self.sock.getsockname()
        with socket.create_server((own[0], 0), family=self.af, backlog=1) as listener:
            listener.settimeout(self.timeout)
            port = listener.getsockname()[1]
            try:
                self.sendport(own[0], port) if self.mode == "port" else self.sendeprt(own[0], port)
            except ftplib.error_perm as error:
                raise Failed("foreign-address", error)
            self.begin(cmd, None, "active-not-connected")
            try:
                return listener.accept()[0]
            except OSError as error:
                raise Failed("active-not-connected", error)

    def begin(self, cmd, data, silent):
        try:
            self.sendcmd(cmd)
        except TimeoutError as error:
            raise Failed(silent, error)
        except ftplib.error_temp as error:
            raise Failed(silent if data else "data-dial-timeout", error)


def passive_reason(error, is_elsewhere):
    if is_elsewhere:
        return "data-address-foreign"
    if isinstance(error, TimeoutError):
        return "passive-silent"
    return "passive-refused" if isinstance(error, ConnectionRefusedError) else "passive-unreachable"


def main(host, port, protection, mode, operation, local, remote, ca, timeout, user, password):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = True
    client = Client(context=context)
    client.implicit, client.mode = protection == "implicit", mode
    try:
        client.connect(host, int(port), float(timeout))
    except OSError as error:
        raise Failed("reply-missing", error)
    client.login(user, password, secure=protection == "explicit")
    if protection != "plain":
        client.prot_p()
    if operation == "list":
        client.retrlines("LIST " + remote)
    elif operation == "retr":
        with open(local, "wb") as file:
            client.retrbinary("RETR " + remote, file.write)
    else:
        with open(local, "rb") as file:
            client.storbinary("STOR " + remote, file)
    client.quit()


try:
    main(*sys.argv[1:])
except Failed as error:
    sys.exit(str(error))
except TimeoutError as error:
    sys.exit(f"{error}\nreason: data-stalled")
except ssl.SSLError as error:
    sys.exit(f"{error}\nreason: tls-handshake-failed")
except (OSError, EOFError) as error:
    sys.exit(f"{error}\nreason: control-lost")
except ftplib.Error as error:
    sys.exit(f"{error}\nreason: control-refused")
