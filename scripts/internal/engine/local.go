package engine

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"time"
)

// DynamoDBLocal starts Amazon's own engine out of a folder of its jars. All
// access keys share one database, which lives in memory. It listens on every
// interface; no option confines it. What it says goes to output.
func DynamoDBLocal(ctx context.Context, jars string, output io.Writer) (*Server, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return serve(ctx, port, output, exec.Command("java", "-Djava.library.path="+jars, "-Xmx512m", "-cp", filepath.Join(jars, "*"),
		"software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", port))
}

// Moto starts moto's server, which speaks Secrets Manager's protocol, from the
// folder of the programs of its virtual environment. It is not safe under
// races, and is asked for no table.
func Moto(ctx context.Context, programs string, output io.Writer) (*Server, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return serve(ctx, port, output, exec.Command(filepath.Join(programs, "moto_server"), "-H", "127.0.0.1", "-p", port))
}

// patience is how long an engine may take to start; a Java on a busy machine
// takes its time.
const patience = time.Minute

func serve(ctx context.Context, port string, output io.Writer, cmd *exec.Cmd) (*Server, error) {
	cmd.Stdout, cmd.Stderr = output, output
	return Start(ctx, cmd, "http://127.0.0.1:"+port, patience)
}
