"""Python's ftplib, one operation per run: see README.md for the command line that all drivers share."""

import ftplib
import io
import sys

UNSUPPORTED = 64


def main(host, port, user, password, mode, op, *args):
    ftp = ftplib.FTP(timeout=30, encoding="utf-8")
    ftp.connect(host, int(port))
    ftp.login(user, password)
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
