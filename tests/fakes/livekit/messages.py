"""The messages of the calls that callgate makes, field by field as the protocol names them."""
from .proto import Enum, List, Map, Message, Optional

State = Enum("JOINING", "JOINED", "ACTIVE", "DISCONNECTED")
Kind = Enum("STANDARD", "INGRESS", "EGRESS", "SIP", "AGENT", CONNECTOR=7, BRIDGE=8)
KindDetail = Enum("CLOUD_AGENT", "FORWARDED", "CONNECTOR_WHATSAPP", "CONNECTOR_TWILIO", "BRIDGE_RTSP", "SIMULATION")
DisconnectReason = Enum("UNKNOWN_REASON", "CLIENT_INITIATED", "DUPLICATE_IDENTITY", "SERVER_SHUTDOWN",
                        "PARTICIPANT_REMOVED", "ROOM_DELETED", "STATE_MISMATCH", "JOIN_FAILURE", "MIGRATION",
                        "SIGNAL_CLOSE", "ROOM_CLOSED", "USER_UNAVAILABLE", "USER_REJECTED", "SIP_TRUNK_FAILURE",
                        "CONNECTION_TIMEOUT", "MEDIA_FAILURE", "AGENT_ERROR")
Transport = Enum("SIP_TRANSPORT_AUTO", "SIP_TRANSPORT_UDP", "SIP_TRANSPORT_TCP", "SIP_TRANSPORT_TLS")
Headers = Enum("SIP_NO_HEADERS", "SIP_X_HEADERS", "SIP_ALL_HEADERS")
Encryption = Enum("SIP_MEDIA_ENCRYPT_DISABLE", "SIP_MEDIA_ENCRYPT_ALLOW", "SIP_MEDIA_ENCRYPT_REQUIRE")
Restart = Enum("JRP_ON_FAILURE", "JRP_NEVER")
JobType = Enum("JT_ROOM", "JT_PUBLISHER", "JT_PARTICIPANT")
JobStatus = Enum("JS_PENDING", "JS_RUNNING", "JS_SUCCESS", "JS_FAILED")
TrackType = Enum("AUDIO", "VIDEO", "DATA")
TrackSource = Enum("UNKNOWN", "CAMERA", "MICROPHONE", "SCREEN_SHARE", "SCREEN_SHARE_AUDIO")

Version = Message("TimedVersion", unix_micro="int64", ticks="int32")
Codec = Message("Codec", mime="string", fmtp_line="string")
Track = Message("TrackInfo", sid="string", type=TrackType, name="string", muted="bool", source=TrackSource,
                mime_type="string", mid="string", stream="string")
Permission = Message("ParticipantPermission", can_subscribe="bool", can_publish="bool", can_publish_data="bool",
                     can_publish_sources=List(TrackSource), hidden="bool", recorder="bool",
                     can_update_metadata="bool", agent="bool", can_subscribe_metrics="bool",
                     can_manage_agent_session="bool")
Participant = Message("ParticipantInfo", sid="string", identity="string", state=State, tracks=List(Track),
                      metadata="string", joined_at="int64", joined_at_ms="int64", name="string", version="uint32",
                      permission=Permission, region="string", is_publisher="bool", kind=Kind, attributes=Map(),
                      disconnect_reason=DisconnectReason, kind_details=List(KindDetail), data_tracks=List("string"),
                      client_protocol="int32", capabilities=List("string"))
Room = Message("Room", sid="string", name="string", empty_timeout="uint32", departure_timeout="uint32",
               max_participants="uint32", creation_time="int64", creation_time_ms="int64", turn_password="string",
               enabled_codecs=List(Codec), metadata="string", num_participants="uint32", num_publishers="uint32",
               active_recording="bool", version=Version)

RoomAgentDispatch = Message("RoomAgentDispatch", agent_name="string", metadata="string", restart_policy=Restart,
                            deployment="string", attributes=Map())
CreateRoom = Message("CreateRoomRequest", name="string", room_preset="string", empty_timeout="uint32",
                     departure_timeout="uint32", max_participants="uint32", node_id="string", metadata="string",
                     tags=Map(), egress=Message("RoomEgress"), min_playout_delay="uint32", max_playout_delay="uint32",
                     sync_streams="bool", replay_enabled="bool", agents=List(RoomAgentDispatch))
DeleteRoom = Message("DeleteRoomRequest", room="string")
ListRooms = Message("ListRoomsRequest", names=List("string"))
Rooms = Message("ListRoomsResponse", rooms=List(Room))
ListParticipants = Message("ListParticipantsRequest", room="string")
Participants = Message("ListParticipantsResponse", participants=List(Participant))
RoomIdentity = Message("RoomParticipantIdentity", room="string", identity="string", revoke_token_ts="int64")
UpdateRoomMetadata = Message("UpdateRoomMetadataRequest", room="string", metadata="string")
Empty = Message("Empty")

Job = Message("Job", id="string", dispatch_id="string", type=JobType, room=Room, participant=Participant,
              namespace="string", metadata="string", agent_name="string",
              state=Message("JobState", status=JobStatus, error="string", started_at="int64", ended_at="int64",
                            updated_at="int64", participant_identity="string", worker_id="string", agent_id="string"))
Dispatch = Message("AgentDispatch", id="string", agent_name="string", room="string", metadata="string",
                   state=Message("AgentDispatchState", jobs=List(Job), created_at="int64", deleted_at="int64"),
                   restart_policy=Restart, deployment="string", attributes=Map())
CreateDispatch = Message("CreateAgentDispatchRequest", agent_name="string", room="string", metadata="string",
                         restart_policy=Restart, deployment="string", attributes=Map())
ListDispatch = Message("ListAgentDispatchRequest", dispatch_id="string", room="string")
Dispatches = Message("ListAgentDispatchResponse", agent_dispatches=List(Dispatch))
DeleteDispatch = Message("DeleteAgentDispatchRequest", dispatch_id="string", room="string")

Media = Message("SIPMediaConfig", only_listed_codecs="bool",
                codecs=List(Message("SIPCodec", name="string", rate="uint32")),
                encryption=Optional(Encryption), media_timeout=Optional("duration"))
Trunk = Message("SIPOutboundTrunkInfo", sip_trunk_id="string", name="string", metadata="string", address="string",
                destination_country="string", transport=Transport, numbers=List("string"), auth_username="string",
                auth_password="string", headers=Map(), headers_to_attributes=Map(), attributes_to_headers=Map(),
                include_headers=Headers, media_encryption=Encryption, media=Media, from_host="string",
                created_at="timestamp", updated_at="timestamp")
Page = Message("Pagination", after_id="string", limit="int32")
ListTrunks = Message("ListSIPOutboundTrunkRequest", page=Page, trunk_ids=List("string"), numbers=List("string"))
Trunks = Message("ListSIPOutboundTrunkResponse", items=List(Trunk))
GetTrunk = Message("GetSIPOutboundTrunkRequest", sip_trunk_id="string")
GotTrunk = Message("GetSIPOutboundTrunkResponse", trunk=Trunk)
CreateTrunk = Message("CreateSIPOutboundTrunkRequest", trunk=Trunk)
Inline = Message("SIPOutboundConfig", hostname="string", destination_country="string", transport=Transport,
                 auth_username="string", auth_password="string", headers_to_attributes=Map(),
                 attributes_to_headers=Map(), from_host="string")
CreateLeg = Message("CreateSIPParticipantRequest", sip_trunk_id="string", trunk=Inline, sip_call_to="string",
                    to_user_override="string", sip_number="string", room_name="string",
                    participant_identity="string", participant_name="string", participant_metadata="string",
                    participant_attributes=Map(), dtmf="string", play_ringtone="bool", play_dialtone="bool",
                    hide_phone_number="bool", headers=Map(), include_headers=Headers, ringing_timeout="duration",
                    max_call_duration="duration", krisp_enabled="bool", media_encryption=Encryption, media=Media,
                    wait_until_answered="bool", display_name=Optional("string"),
                    destination=Optional(Message("Destination", city="string", country="string", region="string")),
                    sip_request_uri=Message("SIPRequestDest"), sip_to_header=Message("SIPNamedDest"),
                    sip_from_header=Message("SIPNamedDest"))
Leg = Message("SIPParticipantInfo", participant_id="string", participant_identity="string", room_name="string",
              sip_call_id="string")
Event = Message("WebhookEvent", event="string", room=Room, participant=Participant, track=Track, job=Job,
                id="string", created_at="int64", num_dropped="int32")
