#!/usr/bin/env escript
%% SPDX-License-Identifier: MIT
%% Erlang against tcp_echo_server, tcp_pair and port_program.
%% usage: test_erlang.escript EXAMPLES

main([Examples]) ->
    calls_the_server(Examples),
    waits_for_a_caller(Examples),
    opens_a_port_program(Examples).

sizes() -> [0, 1, 100, 16384, 65536, 1000000].

packets() -> [binary, {packet, 4}, {active, false}].

start(Examples, Name, Arguments, Options) ->
    Program = filename:join(Examples, Name),
    open_port({spawn_executable, Program}, [{args, Arguments}, binary | Options]).

line(Port) ->
    receive {Port, {data, {eol, Line}}} -> Line
    after 20000 -> exit(no_line) end.

calls_the_server(Examples) ->
    Server = start(Examples, "tcp_echo_server", ["0"], [{line, 100}]),
    {os_pid, Pid} = erlang:port_info(Server, os_pid),
    Number = binary_to_integer(line(Server)),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Number, packets()),
    [begin
         Data = crypto_free_bytes(Size),
         ok = gen_tcp:send(Socket, Data),
         {ok, Data} = gen_tcp:recv(Socket, 0, 20000)
     end || Size <- sizes()],
    ok = gen_tcp:close(Socket),
    os:cmd("kill " ++ integer_to_list(Pid)).

crypto_free_bytes(Size) -> list_to_binary([rand:uniform(256) - 1 || _ <- lists:seq(1, Size)]).

waits_for_a_caller(Examples) ->
    {ok, Listener} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}} | packets()]),
    {ok, Number} = inet:port(Listener),
    Caller = start(Examples, "tcp_pair", ["127.0.0.1", integer_to_list(Number)],
                   [{line, 100}, exit_status]),
    {ok, Socket} = gen_tcp:accept(Listener, 20000),
    ok = gen_tcp:send(Socket, <<"from Erlang">>),
    <<"from Erlang">> = line(Caller),
    true = port_command(Caller, <<"from C\n">>),
    {ok, <<"from C">>} = gen_tcp:recv(Socket, 0, 20000),
    ok = gen_tcp:close(Socket),
    true = port_close(Caller).

opens_a_port_program(Examples) ->
    Port = start(Examples, "port_program", [], [{packet, 4}, exit_status]),
    [begin
         true = port_command(Port, binary:copy(<<"ab">>, Size)),
         Expected = binary:copy(<<"AB">>, Size),
         receive {Port, {data, Expected}} -> ok
         after 20000 -> exit(no_answer) end
     end || Size <- sizes()],
    true = port_close(Port).
