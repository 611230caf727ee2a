"""Python's ftplib, one operation per run: see README.md for the command line that all drivers share."""

import ftplib
import io
import os
import socket
import ssl
import sys

UNSUPPORTED = 64


class Secure(ftplib.FTP_TLS):
    """FTP_TLS as its users write it: data connections resume the session (bpo-19500), and TLS may
    come before the greeting."""

    implicit = False
    resumes = True

    def connect(self, *args, **kwargs):
        if not self.implicit:
            return super().connect(*args, **kwargs)
        host, port = args
        sock = socket.create_connection((host, port), self.timeout)
        self.host, self.af = host, sock.family
        self.sock = self.context.wrap_socket(sock, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        session = self.sock.session if self.resumes else None
        return self.context.wrap_socket(conn, server_hostname=self.host, session=session), size


def secure(how):
    context = ssl.create_default_context(cafile=os.environ["TWOPORT_TLS_CA"])
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[os.environ["TWOPORT_TLS_VERSION"]]
    context.minimum_version = context.maximum_version = version
    if "TWOPORT_TLS_CERTIFICATE" in os.environ:
        context.load_cert_chain(os.environ["TWOPORT_TLS_CERTIFICATE"], os.environ["TWOPORT_TLS_KEY"])
    ftp = Secure(context=context, timeout=30, encoding="utf-8")
    ftp.implicit = how == "implicit"
    ftp.resumes = os.environ.get("TWOPORT_TLS_RESUMES") != "no"
    return ftp


def main(host, port, user, password, mode, op, *args):
    tls = os.environ.get("TWOPORT_TLS")
    ftp = secure(tls) if tls else ftplib.FTP(timeout=30, encoding="utf-8")
    ftp.connect(host, int(port))
    ftp.login(user, password)
    if tls:
        ftp.prot_p()
    if mode == "pasv":
        ftp.af = 2  # AF_INET: makepasv then takes PASV
        ftp.makepasv = lambda: ftplib.parse227(ftp.sendcmd("PASV"))
    elif mode == "epsv":
        ftp.makepasv = lambda: ftplib.parse229(ftp.sendcmd("EPSV"), ftp.sock.getpeername())
    elif mode == "port":
        ftp.set_pasv(False)
    elif mode == "eprt":
        ftp.set_pasv(False)
        ftp.sendport = ftp.sendeprt
    elif mode != "default":
        return UNSUPPORTED
    code = operate(ftp, op, args)
    ftp.quit()
    return code


def operate(ftp, op, args):
    if op == "list":
        ftp.retrlines("LIST " + args[0])
    elif op == "nlst":
        print("\n".join(ftp.nlst(args[0])))
    elif op == "mlsd":
        print("\n".join(name for name, _ in ftp.mlsd(args[0])))
    elif op == "get":
        with open(args[1], "wb") as file:
            ftp.retrbinary("RETR " + args[0], file.write)
    elif op == "row":
        for number in range(int(args[0])):
            with open(args[1], "rb") as file:
                ftp.storbinary(f"STOR {args[2]}{number}", file)
            with open(f"{args[1]}{number}", "wb") as file:
                ftp.retrbinary(f"RETR {args[2]}{number}", file.write)
    elif op == "resume-get":
        with open(args[1], "ab") as file:
            ftp.retrbinary("RETR " + args[0], file.write, rest=file.tell())
    elif op == "put":
        with open(args[0], "rb") as file:
            ftp.storbinary("STOR " + args[1], file)
    elif op == "resume-put":
        ftp.voidcmd("TYPE I")
        offset = ftp.size(args[1])
        with open(args[0], "rb") as file:
            file.seek(offset)
            ftp.storbinary("STOR " + args[1], file, rest=offset)
    elif op == "append":
        with open(args[0], "rb") as file:
            ftp.storbinary("APPE " + args[1], file)
    elif op == "ascii-get":
        with open(args[1], "w", newline="") as file:
            ftp.retrlines("RETR " + args[0], lambda line: file.write(line + "\n"))
    elif op == "ascii-put":
        with open(args[0], "rb") as file:
            ftp.storlines("STOR " + args[1], file)
    elif op == "mkdir":
        print(ftp.mkd(args[0]))
    elif op == "rmdir":
        ftp.rmd(args[0])
    elif op == "rename":
        ftp.rename(args[0], args[1])
    elif op == "delete":
        ftp.delete(args[0])
    elif op == "size":
        ftp.voidcmd("TYPE I")
        print(ftp.size(args[0]))
    elif op == "mdtm":
        print(ftp.voidcmd("MDTM " + args[0])[4:])
    elif op == "unique":
        with open(args[0], "rb") as file:
            ftp.storbinary("STOU", file)
    elif op == "abort":
        ftp.voidcmd("TYPE I")
        data = ftp.transfercmd("RETR " + args[0])
        data.recv(1000)
        ftp.abort()
        data.close()
        # ftplib reads one of the two replies; the other comes before that of the next command.
        ftp.getmultiline()
        ftp.voidcmd("NOOP")
        received = io.BytesIO()
        ftp.retrbinary("RETR " + args[0], received.write)
        print(len(received.getvalue()))
    else:
        return UNSUPPORTED
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except ftplib.all_errors as error:
        print(f"ftplib: {error!r}", file=sys.stderr)
        sys.exit(1)
