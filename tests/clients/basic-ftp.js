// Node's basic-ftp, one operation per run: see README.md for the command line that all drivers share.

const fs = require("fs");
const path = require("path");
const ftp = require(path.join(process.env.NODE_PATH, "basic-ftp"));

const UNSUPPORTED = 64;
const [host, port, user, password, mode, op, ...args] = process.argv.slice(2);

async function operate(client) {
    switch (op) {
        case "list":
            client.availableListCommands = ["LIST -a", "LIST"];
            for (const file of await client.list(args[0])) console.log(file.name);
            break;
        case "mlsd":
            client.availableListCommands = ["MLSD"];
            for (const file of await client.list(args[0])) console.log(file.name);
            break;
        case "get": await client.downloadTo(args[1], args[0]); break;
        case "row":
            for (let number = 0; number < Number(args[0]); number++) {
                await client.uploadFrom(args[1], args[2] + number);
                await client.downloadTo(args[1] + number, args[2] + number);
            }
            break;
        case "resume-get": await client.downloadTo(args[1], args[0], fs.statSync(args[1]).size); break;
        case "put": await client.uploadFrom(args[0], args[1]); break;
        case "append": await client.appendFrom(args[0], args[1]); break;
        // Its way to resume an upload is APPE from where the server is.
        case "resume-put": {
            const size = await client.size(args[1]);
            await client.appendFrom(fs.createReadStream(args[0], { start: size }), args[1]);
            break;
        }
        case "mkdir": await client.send("MKD " + await client.protectWhitespace(args[0])); break;
        case "rmdir": await client.removeEmptyDir(args[0]); break;
        case "rename": await client.rename(args[0], args[1]); break;
        case "delete": await client.remove(args[0]); break;
        case "size": console.log(await client.size(args[0])); break;
        case "mdtm": console.log((await client.lastMod(args[0])).toISOString()); break;
        case "ascii-get": await client.send("TYPE A"); await client.downloadTo(args[1], args[0]); break;
        case "ascii-put": await client.send("TYPE A"); await client.uploadFrom(args[0], args[1]); break;
        case "mirror-get": await client.downloadToDir(args[1], args[0]); break;
        case "mirror-put": await client.uploadFromDir(args[0], args[1]); break;
        case "rmtree": await client.removeDir(args[0]); break;
        default: return UNSUPPORTED;
    }
    return 0;
}

// What access() takes for TLS.
function secure() {
    const env = process.env;
    if (!env.TWOPORT_TLS) return {};
    const version = "TLSv" + env.TWOPORT_TLS_VERSION;
    const file = name => env[name] && fs.readFileSync(env[name]);
    const secureOptions = {
        ca: file("TWOPORT_TLS_CA"), minVersion: version, maxVersion: version,
        cert: file("TWOPORT_TLS_CERTIFICATE"), key: file("TWOPORT_TLS_KEY"),
    };
    return { secure: env.TWOPORT_TLS === "implicit" ? "implicit" : true, secureOptions };
}

async function main() {
    const client = new ftp.Client(30000);
    if (mode === "epsv") client.prepareTransfer = ftp.enterPassiveModeIPv6;
    else if (mode === "pasv") client.prepareTransfer = ftp.enterPassiveModeIPv4;
    else if (mode !== "default") return UNSUPPORTED;
    try {
        await client.access({ host, port: Number(port), user, password, ...secure() });
        return await operate(client);
    } finally {
        client.close();
    }
}

main().then(code => { process.exitCode = code; }, error => {
    console.error("basic-ftp: " + error);
    process.exitCode = 1;
});
