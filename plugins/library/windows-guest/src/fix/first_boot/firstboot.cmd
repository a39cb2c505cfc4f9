@echo off
rem What could not be done while this system was switched off. Runs at most three times, restarts at most once, and takes itself away.
setlocal enableextensions
set "HERE=%SystemRoot%\vmdk2kvm"
set "OUT=%ProgramData%\vmdk2kvm"
if not defined ProgramData set "OUT=%ALLUSERSPROFILE%\vmdk2kvm"
set "LOG=%OUT%\firstboot.log"
set "SERVICE=HKLM\SYSTEM\CurrentControlSet\Services\vmdk2kvm"
if not exist "%OUT%" mkdir "%OUT%"
if not exist "%HERE%\done" mkdir "%HERE%\done"

rem Whatever happens below, the next start is an ordinary one.
reg add "%SERVICE%" /v Start /t REG_DWORD /d 4 /f >nul

set RUNS=0
if exist "%HERE%\runs" set /p RUNS=<"%HERE%\runs"
set /a RUNS=RUNS+1
>"%HERE%\runs" echo %RUNS%
>>"%LOG%" echo %DATE% %TIME% run %RUNS%
if %RUNS% GTR 3 goto finish

rem What was written from outside could be written by everybody, until it inherits from its folder.
icacls "%HERE%" /reset /t /q >nul 2>&1
if exist "%HERE%\secure.cmd" call :step secure "%HERE%\secure.cmd"

if exist "%HERE%\drivers" for /d %%D in ("%HERE%\drivers\*") do for %%I in ("%%D\*.inf") do call :driver "%%~nxD" "%%I"

set CODE=
if not exist "%HERE%\network.ps1" goto tools
call :step network "%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoProfile -ExecutionPolicy Bypass -File "%HERE%\network.ps1"
if not "%CODE%"=="3" goto tools
if exist "%HERE%\restarted" goto tools
rem The card's driver waits for a restart: the one that is allowed.
>"%HERE%\restarted" echo 1
del /q "%HERE%\done\network" >nul 2>&1
reg add "%SERVICE%" /v Start /t REG_DWORD /d 2 /f >nul
shutdown /r /t 5
exit /b 0

:tools
if exist "%HERE%\tools.cmd" call :step tools "%HERE%\tools.cmd"
if exist "%HERE%\agent.msi" call :step agent "%SystemRoot%\System32\msiexec.exe" /i "%HERE%\agent.msi" /qn /norestart
rem Their names are numbers, and a folder lists them in that order.
if exist "%HERE%\user" for %%S in ("%HERE%\user\*.*") do call :user "%%S"
if exist "%HERE%\minimal.cmd" call :step minimal "%HERE%\minimal.cmd"
if exist "%HERE%\undo.reg" copy /y "%HERE%\undo.reg" "%OUT%\undo.reg" >nul
if exist "%HERE%\restore.cmd" call :step restore "%HERE%\restore.cmd"

:finish
>"%OUT%\result.json.new" echo {"schema":1,"runs":%RUNS%,"steps":[
if exist "%HERE%\steps" type "%HERE%\steps" >>"%OUT%\result.json.new"
>>"%OUT%\result.json.new" echo {"name":"end","code":0}]}
move /y "%OUT%\result.json.new" "%OUT%\result.json" >nul
reg delete "%SERVICE%" /f >nul
cd /d "%SystemRoot%"
rem A script cannot remove itself while it is read.
start "" /b "%SystemRoot%\System32\cmd.exe" /c "ping -n 4 127.0.0.1 >nul & rd /s /q ""%HERE%"""
exit /b 0

:driver
if exist "%HERE%\done\driver-%~1" exit /b 0
>"%HERE%\done\driver-%~1" echo 1
>>"%LOG%" echo driver %~1
"%SystemRoot%\System32\pnputil.exe" -i -a "%~2" >>"%LOG%" 2>&1
set CODE=%ERRORLEVEL%
set INSTALLED=yes
rem 259 says that one as good was there: it may be the one that this start needed, whose entries then stay.
if "%CODE%"=="259" set INSTALLED=
rem Installed before, restart wanted, restart begun: all of them mean that the driver is there.
if "%CODE%"=="259" set CODE=0
if "%CODE%"=="3010" set CODE=0
if "%CODE%"=="1641" set CODE=0
if "%CODE%"=="0" if defined INSTALLED >"%HERE%\done\installed-%~1" echo 1
>>"%HERE%\steps" echo {"name":"driver %~1","code":%CODE%},
exit /b 0

:user
rem In a process of its own, since one may end it.
if /i "%~x1"==".ps1" goto powershell
call :step "%~nx1" "%SystemRoot%\System32\cmd.exe" /c "%~1"
exit /b 0

:powershell
call :step "%~nx1" "%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoProfile -ExecutionPolicy Bypass -File "%~1"
exit /b 0

:step
set "NAME=%~1"
if exist "%HERE%\done\%NAME%" exit /b 0
>"%HERE%\done\%NAME%" echo 1
>>"%LOG%" echo step %NAME%
call %2 %3 %4 %5 %6 %7 %8 %9 >>"%LOG%" 2>&1
set CODE=%ERRORLEVEL%
>>"%HERE%\steps" echo {"name":"%NAME%","code":%CODE%},
exit /b 0
