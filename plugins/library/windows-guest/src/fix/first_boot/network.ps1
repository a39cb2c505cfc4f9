# Gives each new card the settings that its predecessor with the same address had.
# Exit code: 0 all done, 1 a card did not take them, 3 a card did not appear.
$code = 0
foreach ($card in $cards) {
    $until = (Get-Date).AddMinutes(5)
    do {
        $adapter = Get-WmiObject Win32_NetworkAdapter -Filter "MACAddress='$($card.mac)'" |
            Where-Object { $_.PNPDeviceID -and $_.PNPDeviceID -notlike 'ROOT\*' } | Select-Object -First 1
        if (-not $adapter) { Start-Sleep -Seconds 5 }
    } until ($adapter -or (Get-Date) -gt $until)
    if (-not $adapter) {
        Write-Output "no card has the address $($card.mac)"
        $code = 3
        continue
    }
    # A card that has gone keeps its name, and Windows warns of its address. Windows 10 2004 and later can take it away.
    if ([Environment]::OSVersion.Version.Build -ge 19041) {
        & "$env:SystemRoot\System32\pnputil.exe" /remove-device $card.ghost
    }
    elseif ($card.name) {
        # Earlier ones only give its name away: it is kept in the old card's own settings.
        $old = 'HKLM\SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}\' + $card.guid + '\Connection'
        & "$env:SystemRoot\System32\reg.exe" add $old /v Name /t REG_SZ /d "$($card.name) (before the migration)" /f
    }
    $settings = Get-WmiObject Win32_NetworkAdapterConfiguration -Filter "Index=$($adapter.Index)"
    $results = @()
    if ($card.addresses.Count) { $results += $settings.EnableStatic($card.addresses, $card.masks).ReturnValue }
    if ($card.gateways.Count) { $results += $settings.SetGateways($card.gateways, $card.metrics).ReturnValue }
    if ($card.servers.Count) { $results += $settings.SetDNSServerSearchOrder($card.servers).ReturnValue }
    if ($card.domain) { $results += $settings.SetDNSDomain($card.domain).ReturnValue }
    if ($card.wins.Count) { $results += $settings.SetWINSServer($card.wins[0], $card.wins[-1]).ReturnValue }
    Write-Output "$($card.mac): $results"
    # 0 is done, 1 is done after a restart.
    if ($results | Where-Object { $_ -gt 1 }) { $code = 1 }
    $netsh = "$env:SystemRoot\System32\netsh.exe"
    foreach ($address in $card.ipv6) {
        if ($settings.IPAddress -contains ($address -split '/')[0]) { continue }
        & $netsh interface ipv6 add address interface=$($adapter.InterfaceIndex) address=$address store=persistent
        if ($LASTEXITCODE) { $code = 1 }
    }
    foreach ($server in $card.servers6) {
        & $netsh interface ipv6 add dnsserver $adapter.InterfaceIndex $server validate=no
        if ($LASTEXITCODE) { $code = 1 }
    }
    if ($card.name -and $adapter.NetConnectionID -ne $card.name) {
        & $netsh interface set interface name="$($adapter.NetConnectionID)" newname="$($card.name)"
    }
}
exit $code
