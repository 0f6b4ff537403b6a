// The program: everything is in Commands.

import Commands

Program.main()
