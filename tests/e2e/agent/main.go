// The least an agent can be: a worker that takes every job LiveKit gives it, joins the room,
// stays until its phone has left, and writes a line of JSON about each job to standard output.
//
//	agent WS_URL API_KEY API_SECRET AGENT_NAME
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"google.golang.org/protobuf/proto"
)

type worker struct {
	url  string
	conn *websocket.Conn
	lock sync.Mutex // one writer at a time, says the websocket package
	out  *json.Encoder
}

func (w *worker) send(message *livekit.WorkerMessage) {
	data, err := proto.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	if err := w.conn.WriteMessage(websocket.BinaryMessage, data); err != nil {
		log.Fatal(err)
	}
}

func (w *worker) accept(job *livekit.Job) {
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Availability{
		Availability: &livekit.AvailabilityResponse{
			JobId: job.Id, Available: true, ParticipantIdentity: "agent-" + job.Id,
		}}})
}

func (w *worker) status(job *livekit.Job, status livekit.JobStatus) {
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_UpdateJob{
		UpdateJob: &livekit.UpdateJobStatus{JobId: job.Id, Status: status}}})
}

func (w *worker) work(assigned *livekit.JobAssignment) {
	left := make(chan struct{})
	var once sync.Once
	leave := func() { once.Do(func() { close(left) }) }
	room, err := lksdk.ConnectToRoomWithToken(w.url, assigned.Token, &lksdk.RoomCallback{
		OnDisconnected:            leave,
		OnParticipantDisconnected: func(*lksdk.RemoteParticipant) { leave() },
	})
	if err != nil {
		log.Print(err)
		w.status(assigned.Job, livekit.JobStatus_JS_FAILED)
		return
	}
	w.status(assigned.Job, livekit.JobStatus_JS_RUNNING)
	w.lock.Lock()
	w.out.Encode(map[string]string{"room": assigned.Job.Room.Name, "metadata": assigned.Job.Metadata,
		"roomMetadata": room.Metadata(), "agent": assigned.Job.AgentName})
	w.lock.Unlock()
	<-left
	room.Disconnect()
	w.status(assigned.Job, livekit.JobStatus_JS_SUCCESS)
}

func main() {
	url, key, secret, name := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	token, err := auth.NewAccessToken(key, secret).SetVideoGrant(&auth.VideoGrant{Agent: true}).ToJWT()
	if err != nil {
		log.Fatal(err)
	}
	conn, _, err := websocket.DefaultDialer.Dial(url+"/agent", http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		log.Fatal(err)
	}
	w := &worker{url: url, conn: conn, out: json.NewEncoder(os.Stdout)}
	w.send(&livekit.WorkerMessage{Message: &livekit.WorkerMessage_Register{
		Register: &livekit.RegisterWorkerRequest{Type: livekit.JobType_JT_ROOM, AgentName: name, Version: "1"}}})
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			log.Fatal(err)
		}
		var message livekit.ServerMessage
		if err := proto.Unmarshal(data, &message); err != nil {
			log.Fatal(err)
		}
		switch m := message.Message.(type) {
		case *livekit.ServerMessage_Register:
			w.out.Encode(map[string]string{"registered": m.Register.WorkerId})
		case *livekit.ServerMessage_Availability:
			w.accept(m.Availability.Job)
		case *livekit.ServerMessage_Assignment:
			go w.work(m.Assignment)
		}
	}
}
