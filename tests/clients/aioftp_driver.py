"""aioftp, one operation per run: see README.md for the command line that all drivers share."""

import asyncio
import sys

import aioftp

UNSUPPORTED = 64


async def main(host, port, user, password, mode, op, *args):
    if mode not in ("default", "epsv", "pasv"):
        return UNSUPPORTED
    commands = {"default": ("epsv", "pasv"), "epsv": ("epsv",), "pasv": ("pasv",)}[mode]
    client = aioftp.Client(passive_commands=commands, socket_timeout=30)
    await client.connect(host, int(port))
    try:
        await client.login(user, password)
        code = await operate(client, op, args)
        await client.quit()
        return code
    finally:
        client.close()


async def send(local, transfer, offset=0):
    async with transfer as stream:
        with open(local, "rb") as file:
            file.seek(offset)
            while block := file.read(65536):
                await stream.write(block)


async def receive(file, transfer):
    async with transfer as stream:
        async for block in stream.iter_by_block():
            file.write(block)


async def operate(client, op, args):
    if op == "list":
        async for path, _ in client.list(args[0], raw_command="LIST"):
            print(path.name)
    elif op == "mlsd":
        async for path, _ in client.list(args[0], raw_command="MLSD"):
            print(path.name)
    elif op == "get":
        await client.download(args[0], args[1], write_into=True)
    elif op == "resume-get":
        with open(args[1], "ab") as file:
            await receive(file, client.download_stream(args[0], offset=file.tell()))
    elif op == "put":
        await client.upload(args[0], args[1], write_into=True)
    elif op == "resume-put":
        await client.command("TYPE I", "200")
        _, lines = await client.command("SIZE " + args[1], "213")
        offset = int(lines[-1])
        await send(args[0], client.upload_stream(args[1], offset=offset), offset)
    elif op == "append":
        await send(args[0], client.append_stream(args[1]))
    elif op == "mkdir":
        await client.make_directory(args[0])
    elif op == "rmdir":
        await client.remove_directory(args[0])
    elif op == "rename":
        await client.rename(args[0], args[1])
    elif op == "delete":
        await client.remove_file(args[0])
    elif op == "size":
        print((await client.stat(args[0]))["size"])
    elif op == "mdtm":
        print((await client.stat(args[0]))["modify"])
    elif op == "mirror-get":
        await client.download(args[0], args[1], write_into=True)
    elif op == "mirror-put":
        await client.upload(args[0], args[1], write_into=True)
    elif op == "abort":
        stream = await client.download_stream(args[0])
        await stream.read(1000)
        await client.abort()
        stream.close()
        await client.command("NOOP", "2xx")
        size = 0
        async with client.download_stream(args[0]) as stream:
            async for block in stream.iter_by_block():
                size += len(block)
        print(size)
    else:
        return UNSUPPORTED
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(*sys.argv[1:])))
    except (aioftp.AIOFTPException, OSError, EOFError) as error:
        print(f"aioftp: {error!r}", file=sys.stderr)
        sys.exit(1)
