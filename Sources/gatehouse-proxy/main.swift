ProxyCommand.main()
