// Go's jlaffaye/ftp, one operation per run: see README.md for the command line that all drivers share.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/jlaffaye/ftp"
)

const unsupported = 64

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "jlaffaye:", err)
		os.Exit(1)
	}
}

func main() {
	host, port, user, password, mode, op, args := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6], os.Args[7:]
	options := []ftp.DialOption{ftp.DialWithTimeout(30 * time.Second)}
	switch mode {
	case "default", "epsv":
	case "pasv":
		options = append(options, ftp.DialWithDisabledEPSV(true))
	default:
		os.Exit(unsupported)
	}
	client, err := ftp.Dial(net.JoinHostPort(host, port), options...)
	check(err)
	check(client.Login(user, password))
	operate(client, op, args)
	check(client.Quit())
}

func open(name string, offset int64) *os.File {
	file, err := os.Open(name)
	check(err)
	_, err = file.Seek(offset, io.SeekStart)
	check(err)
	return file
}

func get(client *ftp.ServerConn, remote, local string, offset int64, flags int) {
	data, err := client.RetrFrom(remote, uint64(offset))
	check(err)
	file, err := os.OpenFile(local, os.O_WRONLY|os.O_CREATE|flags, 0o644)
	check(err)
	_, err = io.Copy(file, data)
	check(err)
	check(data.Close())
	check(file.Close())
}

func operate(client *ftp.ServerConn, op string, args []string) {
	switch op {
	case "list", "mlsd":
		// MLSD where the server has it, which is what this library does on its own.
		entries, err := client.List(args[0])
		check(err)
		for _, entry := range entries {
			fmt.Println(entry.Name)
		}
	case "nlst":
		names, err := client.NameList(args[0])
		check(err)
		for _, name := range names {
			fmt.Println(name)
		}
	case "get":
		get(client, args[0], args[1], 0, os.O_TRUNC)
	case "resume-get":
		have, err := os.Stat(args[1])
		check(err)
		get(client, args[0], args[1], have.Size(), os.O_APPEND)
	case "put":
		check(client.Stor(args[1], open(args[0], 0)))
	case "resume-put":
		size, err := client.FileSize(args[1])
		check(err)
		check(client.StorFrom(args[1], open(args[0], size), uint64(size)))
	case "append":
		check(client.Append(args[1], open(args[0], 0)))
	case "mkdir":
		check(client.MakeDir(args[0]))
	case "rmdir":
		check(client.RemoveDir(args[0]))
	case "rmtree":
		check(client.RemoveDirRecur(args[0]))
	case "rename":
		check(client.Rename(args[0], args[1]))
	case "delete":
		check(client.Delete(args[0]))
	case "size":
		size, err := client.FileSize(args[0])
		check(err)
		fmt.Println(size)
	case "mdtm":
		at, err := client.GetTime(args[0])
		check(err)
		fmt.Println(at.UTC().Format("20060102150405"))
	case "walk":
		for walker := client.Walk(args[0]); walker.Next(); {
			check(walker.Err())
			fmt.Println(walker.Path())
		}
	default:
		os.Exit(unsupported)
	}
}
