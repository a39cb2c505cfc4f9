@echo off
rem The service manager ends this process after 30 seconds, but not the one that it starts.
start "" /b "%SystemRoot%\System32\cmd.exe" /c "%SystemRoot%\vmdk2kvm\firstboot.cmd"
