"""FTP over TLS with Python's ftplib, well-behaved and otherwise.

    tls_driver.py HOST PORT USER PASSWORD DIRECTORY WHAT

WHAT is one of: reuse, no-reuse, truncated. The exit code says whether it went as it should.
"""

import ftplib
import hashlib
import socket
import ssl
import sys

class Reusing(ftplib.FTP_TLS):
    """Resumes the session of the control connection on data connections."""

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        return conn, size

def connect(kind, host, port, user, password):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    ftp = kind(context=context, timeout=20)
    ftp.connect(host, int(port))
    ftp.login(user, password)
    ftp.prot_p()
    ftp.voidcmd("TYPE I")
    return ftp

def reuse(ftp, directory):
    content = bytes(range(256)) * 1000
    with open(f"{directory}/up", "wb") as file:
        file.write(content)
    for number in range(20):
        with open(f"{directory}/up", "rb") as file:
            ftp.storbinary(f"STOR reuse{number}", file)
        digest = hashlib.sha256()
        ftp.retrbinary(f"RETR reuse{number}", digest.update)
        assert digest.digest() == hashlib.sha256(content).digest()
    ftp.quit()

def no_reuse(ftp, directory):
    try:
        ftp.nlst()
    except (ssl.SSLError, ftplib.Error, OSError, EOFError):
        return
    sys.exit("a data connection that resumed nothing was served")

def truncated(ftp, directory):
    conn = ftp.transfercmd("STOR truncated")
    conn.sendall(b"x" * 100000)
    # TCP's end without TLS's own.
    raw = conn.detach()

    plain = socket.socket(fileno=raw)
    plain.shutdown(socket.SHUT_WR)
    try:
        reply = ftp.voidresp()
    except ftplib.error_temp as error:
        assert str(error).startswith("426"), error
        return
    sys.exit(f"a truncated upload was answered {reply}")

host, port, user, password, directory, what = sys.argv[1:]
kind = ftplib.FTP_TLS if what == "no-reuse" else Reusing
work = {"reuse": reuse, "no-reuse": no_reuse, "truncated": truncated}[what]
work(connect(kind, host, port, user, password), directory)
