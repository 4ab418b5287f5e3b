PolicyDaemonCommand.main()
